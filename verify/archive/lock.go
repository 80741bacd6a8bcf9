package archive

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/gofrs/flock"

	"tallyman/verify/archive/internal/rangelock"
)

const (
	lockFile = "lock"

	// maxLockTries is how often lockFile tries while only processes that ask whether the
	// lock is held, or that remove an empty directory, are in its way.
	maxLockTries = 1000
)

// An exportLock is an export, locked against every other attempt.
type exportLock struct {
	archive *Archive
	key     string
	ranged  *rangelock.Lock // of a byte of .ingest/run/locks, or nil where the system has no such locks
	dir     string          // of the ingest
	file    *flock.Flock    // the lock's file in it, which earlier versions know, or nil while nothing is in there

	maxElement int // bytes that an element of a path may have in the file system
}

var errKey = errors.New("no export can have that key")

// lockExport locks an export and its ingest directory, and returns its state, which
// it writes if there is none. It fails with ErrBusy. If the export has landed, it
// clears up what is left of the ingest and fails with ErrLanded.
func (a *Archive) lockExport(reference, key string) (l exportLock, s State, err error) {
	if l, err = a.lockKey(key); err == nil {
		s, err = l.lockIngest(reference)
	}
	if err != nil {
		err = errors.Join(err, l.close())
	}
	return l, s, err
}

// lockKey locks an export, but for attempts of earlier versions. It fails with
// ErrBusy. The caller closes the lock even then.
func (a *Archive) lockKey(key string) (l exportLock, err error) {
	l = exportLock{archive: a, key: key, dir: a.ingestPath(key), maxElement: 255}
	if !fs.ValidPath(key) || key == "." {
		return l, fmt.Errorf("%w: %q", errKey, key)
	}
	if space, ok := a.measure(a.dir); ok && space.MaxElement > 0 {
		l.maxElement = space.MaxElement
	}
	if err := checkPath(a.Path(key), key, l.maxElement); err != nil || a.run.noLocks.Load() {
		return l, err
	}
	if err := a.step.Mkdirs(filepath.Join(a.dir, ingestDir)); err != nil {
		return l, err
	}
	if err := a.step("lock", a.runsPath(locksFile)); err != nil {
		return l, err
	}
	switch l.ranged, err = rangelock.TryLock(a.runsPath(locksFile), lockOffset(key)); {
	case errors.Is(err, errors.ErrUnsupported): // then the lock's file of the ingest directory has to do
		a.run.noLocks.Store(true)
		return l, nil
	case err == nil && l.ranged == nil:
		return l, ErrBusy
	}
	return l, err
}

// lockIngest locks the ingest directory too, and returns the state of the export,
// which it writes if there is none. It fails as lockExport does.
func (l *exportLock) lockIngest(reference string) (s State, err error) {
	file, err := l.archive.lockFile(l.path(lockFile))
	if err != nil {
		return s, err
	}
	if s, err = l.readOrCreate(reference); err != nil {
		if errors.Is(err, ErrFileSystem) {
			err = errors.Join(err, l.remove())
		}
		err = errors.Join(err, file.Close())
		_ = os.Remove(l.dir) // as in close
		return s, err
	}
	l.file = file
	return s, nil
}

// close lets another attempt lock the export. Some file systems keep a file that is
// removed while it is open under a hidden name, NFS for one, so that only once the lock's
// file is closed a directory that was to be removed is empty.
func (l *exportLock) close() (err error) {
	if l.file != nil {
		err = l.file.Close()
		_ = os.Remove(l.dir) // which fails if anything is in it
	}
	if l.ranged != nil {
		err = errors.Join(err, l.ranged.Close())
	}
	l.file, l.ranged = nil, nil
	return err
}

// Exclusive locks a name that is no key, such as that of something that one process at a time
// is to do for the archive, until end is called. It fails with ErrBusy while another has it,
// in this process or in others. Where the system has no locks of bytes it keeps nobody out.
func (a *Archive) Exclusive(name string) (end func(), err error) {
	l, err := a.lockKey("@" + name)
	if err != nil {
		_ = l.close()
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	return func() { _ = l.close() }, nil // which the process does at its end, if not here
}

// lockOffset is the byte of .ingest/run/locks that is the lock of an export.
func lockOffset(key string) int64 {
	sum := sha256.Sum256([]byte(key))
	return int64(binary.BigEndian.Uint64(sum[:8]) >> 2)
}

// lockFile makes a file and its directory, and locks it against every other attempt, in this
// process and in others. The attempt that held the lock before may have removed
// its file, so a lock counts only if its file is still the one at the path. A
// process that only asks whether the lock is held, as Busy does, is waited for,
// but not for ever: it may be stopped.
func (a *Archive) lockFile(path string) (*flock.Flock, error) {
	for tries := 0; ; {
		err := a.step.Mkdirs(filepath.Dir(path))
		if tries++; errors.Is(err, fs.ErrNotExist) && tries < maxLockTries {
			continue // another has removed a directory above it, since it was empty
		}
		if err != nil {
			return nil, err
		}
		if err := a.step("lock", path); err != nil {
			return nil, err
		}
		lock := flock.New(path, flock.SetPermissions(0o644)) // others read it, to ask whether it is held
		locked, err := lock.TryLock()
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed between the two
		}
		if err != nil {
			return nil, lockError(path, err)
		}
		if !locked {
			lock.Close()
			if isLocked(path) || tries >= maxLockTries {
				return nil, ErrBusy
			}
			time.Sleep(time.Millisecond)
			continue
		}
		held, _ := lock.Stat() // nil is no file that is there
		if there, err := os.Lstat(path); err == nil && os.SameFile(held, there) {
			return lock, nil
		}
		lock.Close()
	}
}

// lockError explains the error of a file that can't be locked. Some network file
// systems and some FUSE ones have no locks.
func lockError(path string, err error) error {
	errno, ok := errors.AsType[syscall.Errno](err)
	switch {
	case !ok:
		return fmt.Errorf("lock %s: %w", path, err)
	case errors.Is(err, errors.ErrUnsupported) || errno == syscall.ENOLCK:
		err = fmt.Errorf("%w that can lock files: %w", ErrFileSystem, errno)
	}
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return err
	}
	return &fs.PathError{Op: "lock", Path: path, Err: err}
}

// Busy reports whether an attempt or a Record holds the lock of an export now.
// It keeps nobody from the lock.
func (a *Archive) Busy(key string) bool {
	if isLocked(filepath.Join(a.ingestPath(key), lockFile)) {
		return true
	}
	locked, err := rangelock.IsLocked(a.runsPath(locksFile), lockOffset(key))
	return err == nil && locked
}

// isLocked asks by a shared lock, which only an attempt's exclusive one prevents.
func isLocked(path string) bool {
	lock := flock.New(path, flock.SetFlag(os.O_RDONLY))
	defer lock.Close()
	free, err := lock.TryRLock()
	return err == nil && !free
}

// firstStateFile is beside state.json while the first one may not be durable.
const firstStateFile = "first.json"

// readOrCreate reads state.json and makes it durable, or writes the first, in
// place of an invalid one that an attempt that was cut short left. If the export
// has landed, it ends the ingest: the attempt that renamed the export may have
// been cut short then and there.
func (l exportLock) readOrCreate(reference string) (State, error) {
	step := l.archive.step
	landed, err := l.archive.landed(l.key)
	if err != nil {
		return State{}, err
	}
	if landed {
		if err := step.SyncParents(filepath.Dir(l.archive.Path(l.key)), l.archive.dir, nil); err != nil {
			return State{}, err
		}
		if _, err = os.Lstat(l.path(stateFile)); err == nil { // of the attempt that renamed it
			err = l.archive.completeLine(l.key)
		} else {
			_, err = l.archive.inBatch(l.key)
		}
		if err != nil {
			return State{}, err
		}
		return State{}, errors.Join(ErrLanded, l.remove())
	}
	first := l.path(firstStateFile)
	state, err := readState(l.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return State{}, err
	}
	if err != nil || state.Key != l.key {
		state = newState(reference, l.key)
		if err := step.WriteJSON(first, state); err != nil {
			return State{}, err
		}
		if err := step.RemoveAll(l.path(stateFile)); err != nil {
			return State{}, err
		}
		if err := step.Link(first, l.path(stateFile)); err != nil {
			return State{}, err
		}
	}
	_, err = os.Lstat(first)
	if errors.Is(err, fs.ErrNotExist) {
		return state, nil
	}
	if err != nil {
		return State{}, err
	}
	if err := step.SyncParents(l.dir, l.archive.dir, nil); err != nil { // the directories exist, which does not say that they are durable
		return State{}, err
	}
	return state, step.RemoveAll(first)
}

// path is a path in the ingest directory.
func (l exportLock) path(elem ...string) string {
	return filepath.Join(append([]string{l.dir}, elem...)...)
}

// remove removes the ingest directory. The lock's file goes last: an attempt that
// waits for the lock sees that the file is gone and starts over. The directory
// stays if such an attempt has made something in it since.
func (l exportLock) remove() error {
	if err := l.removeExcept(lockFile); err != nil {
		return err
	}
	if err := l.archive.step.RemoveAll(l.path(lockFile)); err != nil {
		return err
	}
	if err := l.archive.step("remove", l.dir); err != nil {
		return err
	}
	err := os.Remove(l.dir)
	if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) { // a directory that is not empty is fs.ErrExist
		return nil
	}
	return err
}

// removeExcept removes what is in the ingest directory, but for the files of
// those names.
func (l exportLock) removeExcept(names ...string) error {
	entries, err := os.ReadDir(l.dir)
	for _, e := range entries {
		if !slices.Contains(names, e.Name()) {
			err = errors.Join(err, l.archive.step.RemoveAll(l.path(e.Name())))
		}
	}
	return err
}
