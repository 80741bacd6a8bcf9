package ledger

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

const (
	lockWait = 5 * time.Second // then a side file is written
	lockPoll = 2 * time.Millisecond
	maxAhead = 24 * time.Hour // of the clock, that a line is followed
)

// errHeld is of a lock that could not be had in time.
var errHeld = errors.New("another process holds the ledger's lock")

// A heldFile is the last file of the ledger, locked against every other writer.
type heldFile struct {
	*os.File
	name  string
	info  os.FileInfo // as it was when it was locked
	lock  *flock.Flock
	found listing
}

// release lets another writer lock the file. It may be called on nil.
func (h *heldFile) release() {
	if h != nil {
		h.Close()
		h.lock.Close()
	}
}

// lockLast locks the last file, which it makes if there is none. It fails with errHeld.
func (l *Ledger) lockLast() (h *heldFile, err error) {
	deadline := time.Now().Add(lockWait)
	for {
		found, err := l.list()
		if err == nil && len(found.months) == 0 {
			h.release()
			if h, err = nil, l.create(time.Now().UTC().Format(monthLayout)); err == nil {
				continue
			}
		}
		if err != nil {
			h.release()
			return nil, err
		}
		last := found.months[len(found.months)-1]
		if h != nil { // it is the last still, or another was begun meanwhile
			if there, err := os.Lstat(l.path(last)); err == nil && h.name == last && os.SameFile(there, h.info) {
				h.found = found
				return h, nil
			}
			h.release()
		}
		if h, err = l.lockFile(last, deadline); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
}

// lockFile locks a file. It fails with fs.ErrNotExist if that is not there any more.
func (l *Ledger) lockFile(name string, deadline time.Time) (*heldFile, error) {
	path := l.path(name)
	if err := l.step("lock", path); err != nil {
		return nil, err
	}
	lock := flock.New(path, flock.SetFlag(os.O_RDWR))
	for {
		locked, err := lock.TryLock()
		if err != nil {
			return nil, lockError(path, err)
		}
		if locked {
			break
		}
		if l.frozen || time.Now().After(deadline) {
			l.frozen = true
			return nil, errHeld
		}
		time.Sleep(lockPoll)
	}
	l.frozen = false
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		lock.Close()
		return nil, err
	}
	h := &heldFile{File: f, name: name, lock: lock}
	h.info, err = f.Stat()
	locked, lockErr := lock.Stat()
	if err = errors.Join(err, lockErr); err == nil && !os.SameFile(locked, h.info) {
		err = fs.ErrNotExist
	}
	if err != nil {
		h.release()
		return nil, err
	}
	return h, nil
}

func lockError(path string, err error) error {
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return err
	}
	return &fs.PathError{Op: "lock", Path: path, Err: err}
}

// lockForWriting locks the file that the next line belongs to, takes it over, and
// returns the time of that line. It begins a new file while it holds the one before,
// so that no writer appends to that one any more.
func (l *Ledger) lockForWriting() (h *heldFile, at time.Time, err error) {
	for {
		next, err := l.lockLast()
		h.release()
		if err != nil {
			return nil, at, err
		}
		h = next
		if err = l.takeOver(h); err == nil {
			at = time.Now().UTC().Truncate(time.Millisecond)
			switch before := l.end.at; {
			case before.After(at.Add(maxAhead)):
				l.ahead.Store(&before)
			case before.After(at):
				at = before
			}
			month := at.Format(monthLayout)
			if month <= h.name {
				return h, at, nil
			}
			if err = l.step.Sync(h.File); err == nil {
				err = l.create(month)
			}
		}
		if err != nil {
			h.release()
			return nil, at, err
		}
	}
}

// takeOver finds the end of a file that was locked, unless it is known, and cuts what
// is torn.
func (l *Ledger) takeOver(h *heldFile) error {
	size := h.info.Size()
	known := l.end.info != nil && os.SameFile(l.end.info, h.info) && l.end.file == h.name && l.end.size <= size
	if known && l.end.size == size {
		return nil
	}
	end := place{file: h.name, info: h.info, last: last{hash: l.genesis}}
	if known { // what is before was read
		end.size, end.last = l.end.size, l.end.last
	} else if err := errors.Join(l.step.SyncDir(l.dir), l.step.SyncDir(filepath.Dir(l.dir))); err != nil {
		return err // whoever made the names may have crashed before they were durable
	}
	l.end = place{}
	tail, err := readTail(h, end.size, size)
	if err != nil {
		return err
	}
	if end.size = tail.good; tail.found {
		end.last = tail.last
	} else if !known && len(h.found.months) > 1 {
		if end.last, err = l.lastBefore(h); err != nil {
			return err
		}
	}
	if tail.good < size {
		if err := l.cut(h, tail.good); err != nil {
			return err
		}
	}
	l.end = end
	return nil
}

// lastBefore is the last whole line of the files before that one.
func (l *Ledger) lastBefore(h *heldFile) (last, error) {
	for n := len(h.found.months) - 2; n >= 0; n-- {
		tail, _, err := l.tailOf(h.found.months[n])
		if err != nil || tail.found {
			return tail.last, err
		}
	}
	return last{hash: l.genesis}, nil
}
