package ledger

import (
	"errors"
	"fmt"
	"time"
)

// ErrTooLong is of a line that is longer than an append may be.
var ErrTooLong = errors.New("the line is too long for the ledger")

// An appending is a call of Append, until a writer has written its lines.
type appending struct {
	entries []entry
	done    bool // guarded by Ledger.writer, as err is
	err     error
}

// An entry is a line that is to be written.
type entry struct {
	at   time.Time // zero: when it is written
	body []byte
}

func newEntry(line *Line) (entry, error) {
	body, err := line.body()
	if year := line.At.Year(); err == nil && (year < 1 || year > 9999) {
		err = fmt.Errorf("the time of a line of kind %s is in the year %d", line.Kind, year)
	}
	if err == nil && len(body) > maxBody {
		err = fmt.Errorf("%w: %s of %s has %d bytes", ErrTooLong, line.Kind, line.Key, len(body))
	}
	return entry{line.At, body}, err
}

// Append appends lines, in that order. Once it returns nil they are durable, in the
// ledger or, if another process held the lock for 5 seconds, in a side file, which the
// next writer takes in. If it fails, none, some or all of them may be there; to append
// them again is harmless.
//
// Lines of several goroutines are written and synced together. It fails with
// ErrTooLong for a line of more than about 1 MiB, and with an *fs.PathError for what the
// system refuses: fs.ErrPermission, syscall.EROFS, syscall.ENOSPC and others.
func (l *Ledger) Append(lines ...Line) error {
	a := &appending{}
	for i := range lines {
		e, err := newEntry(&lines[i])
		if err != nil {
			return err
		}
		a.entries = append(a.entries, e)
	}
	if len(lines) == 0 {
		return nil
	}
	l.mu.Lock()
	l.queue = append(l.queue, a)
	l.mu.Unlock()

	l.writer.Lock() // while this waits, another may write these lines with its own
	defer l.writer.Unlock()
	if a.done {
		return a.err
	}
	l.mu.Lock()
	all := l.queue
	l.queue = nil
	l.mu.Unlock()
	var entries []entry
	for _, a := range all {
		entries = append(entries, a.entries...)
	}
	durable, err := l.writeLocked(entries)
	if errors.Is(err, errHeld) {
		durable, err = l.writeSide(entries)
	}
	for _, a := range all {
		a.done = true
		if durable -= len(a.entries); durable < 0 {
			a.err = err
		}
	}
	return a.err
}

// writeLocked appends entries under the lock, behind the lines that wait in files, and
// returns how many of them are durable.
func (l *Ledger) writeLocked(entries []entry) (durable int, err error) {
	h, at, err := l.lockForWriting()
	if err != nil {
		return 0, err
	}
	defer h.release()
	var files []waiting
	if len(h.found.sides)+len(h.found.cuts) > 0 {
		files = l.waiting(h)
	}
	var before []entry
	for _, w := range files {
		before = append(before, w.entries...)
	}
	durable, err = l.put(h, at, append(before, entries...))
	if durable >= len(before) {
		for _, w := range files {
			_ = w.settled() // a file that stays is found by the next writer, who finds its lines, too
		}
	}
	return durable - len(before), err
}

// put appends entries to a file that is locked, in appends of up to maxWrite, and
// returns how many of them are durable.
func (l *Ledger) put(h *heldFile, at time.Time, entries []entry) (durable int, err error) {
	for durable < len(entries) {
		var b []byte
		n, next := durable, l.end
		for ; n < len(entries); n++ {
			e := entries[n]
			if len(b) > 0 && len(b)+len(e.body) > maxBody {
				break
			}
			if e.at.IsZero() {
				e.at = at
			}
			if next.seq >= maxSeq {
				return durable, &BreakError{Break: Break{File: h.name, SeqBefore: next.seq, Before: next.hash}, Why: "no seq can follow its last line's"}
			}
			begin := len(b)
			b = appendLine(b, next.seq+1, e.at, e.body, next.hash)
			next.last = last{next.seq + 1, hashOf(b[begin:]), e.at}
			b = append(b, '\n')
		}
		if err := l.writeAt(h, b); err != nil {
			return durable, err
		}
		next.size += int64(len(b))
		l.end, durable = next, n
	}
	return durable, nil
}

// writeAt writes bytes to the end of a file that is locked, and syncs it. If that fails
// it cuts the file to its old end, and forgets that end: the next append reads it again.
func (l *Ledger) writeAt(h *heldFile, b []byte) error {
	end := l.end.size
	err := l.step("write", h.Name())
	if err == nil {
		_, err = h.WriteAt(b, end)
	}
	if err == nil {
		err = l.step.Sync(h.File)
	}
	if err != nil {
		l.end = place{}
		l.room = room{}
		if l.step("truncate", h.Name()) == nil {
			_ = h.Truncate(end) // if that fails, too, what is there is torn or whole
		}
	}
	return err
}
