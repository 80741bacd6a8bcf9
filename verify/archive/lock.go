package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

const (
	lockFile  = "lock"
	mostAsked = 1000
)

// acquire makes the directory and locks it against every other attempt, in
// this process and in others. The one who held the lock before may have
// removed its file, so a lock counts only on the file that is at the path. Who
// only asks whether it is held is waited for, unless he is stopped himself.
func (a *Archive) acquire(dir string) (*flock.Flock, error) {
	path := filepath.Join(dir, lockFile)
	for asked := 0; ; {
		if err := a.disk.mkdirs(dir); err != nil {
			return nil, err
		}
		if err := a.disk.begin("lock", path); err != nil {
			return nil, err
		}
		lock := flock.New(path)
		locked, err := lock.TryLock()
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed between the two
		}
		if err != nil {
			return nil, unlockable(path, err)
		}
		if !locked {
			lock.Close()
			if asked++; isHeld(path) || asked > mostAsked {
				return nil, ErrBusy
			}
			time.Sleep(time.Millisecond)
			continue
		}
		if isAt(lock, path) {
			return lock, nil
		}
		lock.Close()
	}
}

// unlockable is the error of a file that can't be locked. Some file systems of
// a network, and FUSE ones, have no locks.
func unlockable(path string, err error) error {
	errno, ok := errors.AsType[syscall.Errno](err)
	switch {
	case !ok:
		return fmt.Errorf("lock %s: %w", path, err)
	case errors.Is(err, errors.ErrUnsupported) || errno == syscall.ENOLCK:
		err = fmt.Errorf("the archive needs a file system that can lock files: %w", errno)
	}
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return err
	}
	return &fs.PathError{Op: "lock", Path: path, Err: err}
}

func isAt(lock *flock.Flock, path string) bool {
	held, err := lock.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(path)
	return err == nil && os.SameFile(held, there)
}

// Busy reports whether an attempt or a Docket holds the export of that key
// now. It is in nobody's way.
func (a *Archive) Busy(key string) bool {
	return isHeld(filepath.Join(a.dir, ingestDir, hashName(key), lockFile))
}

// isHeld asks by a shared lock, which only an attempt's keeps away.
func isHeld(path string) bool {
	lock := flock.New(path, flock.SetFlag(os.O_RDONLY))
	defer lock.Close()
	free, err := lock.TryRLock()
	return err == nil && !free
}
