package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gofrs/flock"
)

// A hold is the place of an export in the ingest area, locked against every
// other attempt.
type hold struct {
	archive *Archive
	key     string
	dir     string
	lock    *flock.Flock
}

// take locks an export and reads what is known of it, which it writes down if
// that is nothing. It fails with ErrBusy, or with ErrLanded once it has cleared
// up.
func (a *Archive) take(reference, key string) (hold, State, error) {
	if !fs.ValidPath(key) || key == "." {
		return hold{}, State{}, fmt.Errorf("no export can have the key %q", key)
	}
	h := hold{archive: a, key: key, dir: filepath.Join(a.dir, ingestDir, hashName(key))}
	err := fits(a.Path(key), key, a.longest())
	if err != nil {
		return hold{}, State{}, err
	}
	if h.lock, err = a.acquire(h.dir); err != nil {
		return hold{}, State{}, err
	}
	state, err := h.recall(reference)
	if err != nil {
		return hold{}, State{}, errors.Join(err, h.free())
	}
	return h, state, nil
}

// recall reads state.json, or writes the first.
func (h hold) recall(reference string) (State, error) {
	landed, err := h.archive.landed(h.key)
	if err != nil {
		return State{}, err
	}
	if landed {
		return State{}, h.clear()
	}
	state, err := readState(h.dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && state.Key != h.key {
		return h.first(reference)
	}
	if err != nil {
		return State{}, err
	}
	return state, h.confirm()
}

// draftFile is beside state.json while the first may not be durable.
const draftFile = "first.json"

// first writes the first state.json. What an attempt that was cut short left is
// in the way, and that it made the directory does not say that it is durable.
func (h hold) first(reference string) (State, error) {
	state := State{Schema: stateSchema, Reference: reference, Key: h.key, FirstSeen: time.Now().UTC().Truncate(time.Second)}
	disk := h.archive.disk
	if err := disk.writeJSON(h.path(draftFile), state); err != nil {
		return State{}, err
	}
	if err := disk.removeAll(h.path(stateFile)); err != nil {
		return State{}, err
	}
	if err := disk.link(h.path(draftFile), h.path(stateFile)); err != nil {
		return State{}, err
	}
	return state, h.confirm()
}

// confirm makes the first state.json durable, if it may not be.
func (h hold) confirm() error {
	_, err := os.Lstat(h.path(draftFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := h.archive.disk.syncUp(h.dir, h.archive.dir); err != nil {
		return err
	}
	return h.archive.disk.removeAll(h.path(draftFile))
}

// clear ends the ingest of an export that has landed. The attempt that renamed
// it may have been cut short then and there.
func (h hold) clear() error {
	if err := h.archive.settle(h.key); err != nil {
		return err
	}
	return errors.Join(ErrLanded, h.discard())
}

func (h hold) path(elem ...string) string {
	return filepath.Join(append([]string{h.dir}, elem...)...)
}

// discard removes the ingest. The lock's file goes last: who waits for it
// sees that it is gone and begins anew.
func (h hold) discard() error {
	if err := h.drop(lockFile); err != nil {
		return err
	}
	if err := h.archive.disk.removeAll(h.path(lockFile)); err != nil {
		return err
	}
	return h.archive.disk.removeEmpty(h.dir)
}

// drop removes all but the files of those names.
func (h hold) drop(but ...string) error {
	entries, err := os.ReadDir(h.dir)
	for _, e := range entries {
		if !slices.Contains(but, e.Name()) {
			err = errors.Join(err, h.archive.disk.removeAll(h.path(e.Name())))
		}
	}
	return err
}

// free lets another attempt hold the export.
func (h hold) free() error {
	if h.lock == nil {
		return nil
	}
	return h.lock.Close()
}
