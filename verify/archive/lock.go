package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

const lockFile = "lock"

// acquire makes the directory and locks it against every other attempt, in
// this process and in others. The one who held the lock before may have
// removed its file, so a lock counts only on the file that is at the path.
func (a *Archive) acquire(dir string) (*flock.Flock, error) {
	path := filepath.Join(dir, lockFile)
	for {
		if err := a.disk.mkdirs(dir); err != nil {
			return nil, err
		}
		lock := flock.New(path)
		locked, err := lock.TryLock()
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed between the two
		}
		if err != nil {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if !locked {
			lock.Close()
			return nil, ErrBusy
		}
		if isAt(lock, path) {
			return lock, nil
		}
		lock.Close()
	}
}

func isAt(lock *flock.Flock, path string) bool {
	held, err := lock.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(path)
	return err == nil && os.SameFile(held, there)
}
