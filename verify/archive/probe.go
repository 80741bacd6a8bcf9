package archive

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

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
