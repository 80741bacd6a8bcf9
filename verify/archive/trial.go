package archive

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"tallyman/verify/archive/internal/rangelock"
)

// trialPrefix is what the names of the directories of trials begin with.
const trialPrefix = "trial-"

// A Trial is one thing that an archive needs of its file system, tried there.
type Trial struct {
	Name string // "write", "rename", "hard links", "locks" or "locks between processes"
	Err  error  // nil if it works
}

// Try tries in the archive's file system what a landing needs, and leaves nothing
// behind. What is tried after a failed write would fail too, and is left out. held is to
// have another process call IsTrialHeld with the directory that it is given; if it is nil,
// locks between processes are not tried.
func (a *Archive) Try(held func(dir string) (bool, error)) []Trial {
	var trials []Trial
	try := func(name string, do func() error) error {
		err := do()
		trials = append(trials, Trial{name, err})
		return err
	}
	dir := filepath.Join(a.dir, ingestDir, trialPrefix+rand.Text())
	a.removeTrials()
	defer a.step.RemoveAll(dir)
	if try("write", func() error { return a.tryWrite(dir) }) != nil {
		return trials
	}
	_ = try("rename", func() error {
		if err := os.Mkdir(filepath.Join(dir, bagDir), 0o755); err != nil {
			return err
		}
		return a.step.Rename(filepath.Join(dir, bagDir), filepath.Join(dir, "landed"))
	})
	_ = try("hard links", func() error { return a.step.Link(filepath.Join(dir, "file"), filepath.Join(dir, "link")) })
	release, err := a.tryLocks(dir)
	if try("locks", func() error { return err }) != nil {
		return trials
	}
	defer release()
	if held == nil {
		return trials
	}
	_ = try("locks between processes", func() error { return tryHeld(dir, held, release) })
	return trials
}

// removeTrials removes the directories of trials that were cut short.
func (a *Archive) removeTrials() {
	left, _ := filepath.Glob(filepath.Join(a.dir, ingestDir, trialPrefix+"*")) // the pattern is well formed
	for _, dir := range left {
		if !isLocked(filepath.Join(dir, lockFile)) {
			_ = a.step.RemoveAll(dir) // the next trial tries again
		}
	}
}

// tryWrite makes a directory with a file, durably, and reads it again.
func (a *Archive) tryWrite(dir string) error {
	text := []byte("what a trial writes is what it reads\n")
	if err := a.step.Mkdirs(dir); err != nil {
		return err
	}
	f, err := a.step.Create(filepath.Join(dir, "file"), bytes.NewReader(text))
	if err != nil {
		return err
	}
	if err = errors.Join(f.Close(), a.step.SyncDir(dir)); err != nil {
		return err
	}
	got, err := os.ReadFile(filepath.Join(dir, "file"))
	if err == nil && !bytes.Equal(got, text) {
		err = fmt.Errorf("%w that keeps what is written: %s reads otherwise", ErrFileSystem, filepath.Join(dir, "file"))
	}
	return err
}

// tryLocks takes the locks of both kinds in dir, and sees that nobody else in this
// process can have them then. release may be called more than once.
func (a *Archive) tryLocks(dir string) (release func(), err error) {
	file, err := a.lockFile(filepath.Join(dir, lockFile))
	if err != nil {
		return nil, err
	}
	ranged, err := rangelock.TryLock(filepath.Join(dir, locksFile), 0)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return nil, errors.Join(err, file.Close())
	}
	release = func() {
		file.Close()
		if ranged != nil {
			ranged.Close()
			ranged = nil
		}
	}
	second, err := a.lockFile(filepath.Join(dir, lockFile))
	if err == nil {
		second.Close()
		err = fmt.Errorf("%w whose locks hold: a file was locked twice", ErrFileSystem)
	}
	if !errors.Is(err, ErrBusy) {
		release()
		return nil, err
	}
	return release, nil
}

// tryHeld asks another process while the locks are held, and again once they are not.
func tryHeld(dir string, held func(string) (bool, error), release func()) error {
	locked, err := held(dir)
	if err == nil && !locked {
		err = fmt.Errorf("%w whose locks hold between processes: another process does not see those of this one", ErrFileSystem)
	}
	if err != nil {
		return err
	}
	release()
	if locked, err = held(dir); err == nil && locked {
		err = fmt.Errorf("%w whose locks end: another process still sees one that was released", ErrFileSystem)
	}
	return err
}

// IsTrialHeld reports whether the locks of the directory of a trial are held. It is for
// another process than that of Archive.Try.
func IsTrialHeld(dir string) (bool, error) {
	if _, err := os.Stat(dir); err != nil {
		return false, err
	}
	file := isLocked(filepath.Join(dir, lockFile))
	ranges := filepath.Join(dir, locksFile)
	_, err := os.Stat(ranges)
	if errors.Is(err, fs.ErrNotExist) { // the system has no locks of bytes, or they were released
		return file, nil
	}
	if err != nil {
		return false, err
	}
	ranged, err := rangelock.IsLocked(ranges, 0)
	return file && ranged, err
}

// Probe tries in short what each attempt needs: it makes a file in the archive, locks it,
// sees that nobody else gets that lock, and removes the file. It fails with ErrFileSystem if
// locks do not hold. Unlike Try, it syncs nothing, and any number may probe at once.
func (a *Archive) Probe() (err error) {
	dir := a.runsPath(rand.Text())
	lock, err := a.lockFile(filepath.Join(dir, batchFile))
	if errors.Is(err, ErrBusy) { // another took it for one of a process that has ended
		return nil
	}
	if err != nil {
		return fmt.Errorf("try the archive: %w", err)
	}
	if !isLocked(lock.Path()) {
		if _, err := os.Stat(lock.Path()); !errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("try the archive: %w whose locks hold for all who use it: %s was locked twice", ErrFileSystem, lock.Path())
			return errors.Join(err, a.removeRun(dir, lock))
		}
	}
	if err := a.removeRun(dir, lock); err != nil {
		return fmt.Errorf("try the archive: %w", err)
	}
	_ = os.Remove(a.runsPath()) // which fails if a process is at work
	return nil
}
