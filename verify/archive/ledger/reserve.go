package ledger

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

// A room is disk space that was reserved behind the end of a file.
type room struct {
	info os.FileInfo // of the file; nil: there is none
	end  int64       // of the room, an offset in the file
}

const (
	minRoom  = 64 << 10  // kept beyond what is asked for, since other processes use it, too
	roomStep = 256 << 10 // by which it grows
)

// Reserve reserves disk space for lines of that many bytes behind the last line, so that
// an Append that follows does not fail for want of it. It makes the first file if there
// is none. It fails with an *fs.PathError that is syscall.ENOSPC or syscall.EDQUOT if the
// disk is full, or says that the ledger can't be written. Where the system can't reserve
// space it does nothing.
func (l *Ledger) Reserve(bytes int64) error {
	l.writer.Lock()
	defer l.writer.Unlock()
	for {
		found, err := l.list()
		if err != nil {
			return err
		}
		if len(found.months) == 0 {
			if err := l.create(time.Now().UTC().Format(monthLayout)); err != nil {
				return err
			}
			continue
		}
		path := l.path(found.months[len(found.months)-1])
		info, err := os.Lstat(path)
		if err == nil && l.room.info != nil && os.SameFile(l.room.info, info) && info.Size()+bytes+minRoom <= l.room.end {
			return nil
		}
		if err == nil {
			err = l.step("reserve", path)
		}
		if err == nil {
			err = reserve(path, info.Size(), bytes+minRoom+roomStep)
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has gone since
		}
		if err == nil {
			l.room = room{info, info.Size() + bytes + minRoom + roomStep}
		}
		return err
	}
}
