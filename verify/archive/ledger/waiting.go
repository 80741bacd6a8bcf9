package ledger

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// writeSide writes entries as side files, each no longer than an append may be, and
// returns how many of them are durable.
func (l *Ledger) writeSide(entries []entry) (durable int, err error) {
	now := time.Now()
	for durable < len(entries) {
		var b []byte
		n := durable
		for ; n < len(entries); n++ {
			e := entries[n]
			if len(b) > 0 && len(b)+len(e.body) > maxBody {
				break
			}
			if e.at.IsZero() {
				e.at = now
			}
			b = append(appendLine(b, 0, e.at, e.body, ""), '\n')
		}
		random := newRandom()
		if err := l.writeFile(sidePath(random), "side-"+random+".new", bytes.NewReader(b)); err != nil {
			return durable, err
		}
		durable = n
	}
	return durable, l.step.SyncDir(filepath.Dir(l.dir)) // the holder may not have come to that
}

// entries are the lines of a side file as they are taken in. Bytes that can't be read
// are kept beside the ledger, and a line tells of them.
func (s *sideFile) entries() ([]entry, error) {
	var all []entry
	for i, line := range s.lines {
		e := entry{at: line.At}
		prefix := appendLine(nil, 0, line.At, nil, "")
		prefix = prefix[:len(prefix)-1]
		if body, ok := bytes.CutPrefix(s.raw[i], prefix); ok { // as it is: fields that are not known stay
			e.body = append(bytes.TrimSuffix(bytes.TrimRight(body, " \t\r"), []byte{'}'}), `,"side":"`+s.random+`"`...)
		} else {
			var err error
			if e, err = newEntry(&line); err != nil {
				return nil, err
			}
		}
		all = append(all, e)
	}
	if s.badLen > 0 {
		e, err := newEntry(&Line{Kind: Torn, Cut: s.badLen, Side: s.random})
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}

// A waiting is a file with lines that the next writer appends.
type waiting struct {
	entries []entry
	settled func() error // once they are durable
}

// waiting reads what waits for a writer. A file that can't be read stays where it is,
// and readers tell of it: it keeps nobody from an append.
func (l *Ledger) waiting(h *heldFile) (all []waiting) {
	taken, err := l.taken(h.found.months)
	if err != nil {
		return nil
	}
	sides, _ := l.readSides(h.found.sides)
	for _, side := range sides {
		entries, err := side.entries()
		if err != nil {
			continue
		}
		settled := func() error { return l.remove(sidePath(side.random)) }
		if side.badLen > 0 {
			settled = func() error { return l.rename(sidePath(side.random), cutPath(side.random)) }
		}
		all = append(all, waiting{entries[min(taken[side.random], len(entries)):], settled})
	}
	for _, random := range h.found.cuts {
		info, err := os.Lstat(l.path(cutPath(random) + ".new"))
		if err != nil {
			continue
		}
		w := waiting{settled: func() error { return l.rename(cutPath(random)+".new", cutPath(random)) }}
		if taken[random] == 0 {
			e, _ := newEntry(&Line{Kind: Torn, Cut: info.Size(), Side: random})
			w.entries = []entry{e}
		}
		all = append(all, w)
	}
	return all
}

// cut cuts a file that is locked to its good end. What is cut is kept beside it, under
// a name that says so until a line tells of it: the next writer appends that line.
func (l *Ledger) cut(h *heldFile, good int64) error {
	random := newRandom()
	name := cutPath(random) + ".new"
	if err := l.writeFile(name, name, io.NewSectionReader(h, good, h.info.Size()-good)); err != nil {
		return err
	}
	if err := l.step("truncate", h.Name()); err != nil {
		return err
	}
	if err := h.Truncate(good); err != nil {
		return err
	}
	l.room = room{}
	h.found.cuts = append(h.found.cuts, random)
	if err := l.step.Sync(h.File); err != nil {
		return fmt.Errorf("cut the torn end: %w", err)
	}
	return nil
}
