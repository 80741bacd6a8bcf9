package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"
)

// An Index knows the last lines of each key. It holds their places in the files, not
// the lines. Its methods may be called at once.
type Index struct {
	ledger *Ledger

	mu    sync.RWMutex
	files []indexedFile
	seeds [2]maphash.Seed
	keys  map[keyHash]int32 // an index of last
	last  []places
	made  map[string]int64  // the places of the last Created lines, by key
	taken map[string]int    // lines of side files that were taken in, by RANDOM
	sides map[string]Latest // of the keys that have lines in side files

	sidesMade map[string]*Line // the Created lines in side files, by key
}

// An indexedFile is a file as far as it was read.
type indexedFile struct {
	name   string
	info   os.FileInfo
	end    int64
	last   []byte // the last line, with its newline
	lastAt int64  // its offset

	opened *os.File // to read lines of, if it is the last of the files, or nil
}

// A keyHash stands for a key: of millions no two have the same, and the keys themselves
// would be most of the memory that an Index takes.
type keyHash [2]uint64

// places are those of the last lines of a key, or -1. A place is the number of its file
// and its offset in it.
type places struct{ presence, phase int64 }

const (
	offsetBits = 44

	bytesPerKey = 700     // about: two lines each
	maxRoom     = 2 << 30 // of files, for the keys of which room is made at once
)

// Latest are the last lines of a key, or nil if there is none.
type Latest struct {
	Presence *Line // landed, adopted, restored, damaged, absent, healed or removed
	Phase    *Line // asked, failed, cancelled, landed, adopted, restored or removed
}

// A class says of which last lines a kind can be.
type class struct{ presence, phase bool }

var classes = map[Kind]class{
	Landed: {true, true}, Adopted: {true, true}, Restored: {true, true}, Removed: {true, true},
	Damaged: {presence: true}, Absent: {presence: true}, Healed: {presence: true},
	Asked: {phase: true}, Failed: {phase: true}, Cancelled: {phase: true},
}

// IsPresence reports whether lines of the kind say if an export is in its place.
func (k Kind) IsPresence() bool { return classes[k].presence }

// Index returns the index of the ledger as it is now. The first call reads the whole
// ledger, and each later one what was appended since. It is the same Index each time.
// It does not check the chain: lines that can't be read are not in it.
func (l *Ledger) Index() (*Index, error) {
	x := &l.index
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ledger = l
	months, sides, err := l.listAll()
	if err != nil {
		return nil, err
	}
	if err := x.refresh(months); err != nil {
		x.reset()
		return nil, err
	}
	x.sides, x.sidesMade = nil, nil
	for _, side := range sides {
		for _, line := range side.lines[min(x.taken[side.random], len(side.lines)):] {
			if err := x.overlay(line); err != nil {
				return nil, err
			}
		}
	}
	return x, nil
}

func (x *Index) reset() {
	for i := range x.files {
		x.files[i].close()
	}
	x.files, x.keys, x.last, x.made, x.taken = nil, nil, nil, nil, nil
}

func (f *indexedFile) close() {
	if f.opened != nil {
		f.opened.Close()
		f.opened = nil
	}
}

// refresh reads what is new in the files, or all of them if what was read is not there
// any more.
func (x *Index) refresh(months []string) error {
	isPrefix, more := x.isPrefix(months)
	if !isPrefix {
		x.reset()
	}
	if isPrefix && !more && x.keys != nil {
		return nil
	}
	if x.keys == nil {
		size := int64(0)
		for _, month := range months {
			if info, err := os.Lstat(x.ledger.path(month)); err == nil {
				size += info.Size()
			}
		}
		x.seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}
		room := min(size, maxRoom) / bytesPerKey
		x.keys, x.last = make(map[keyHash]int32, room), make([]places, 0, room)
		x.made, x.taken = map[string]int64{}, map[string]int{}
	}
	for i := max(0, len(x.files)-1); i < len(months); i++ {
		if i == len(x.files) {
			x.files = append(x.files, indexedFile{name: months[i]})
		}
		if err := x.read(i, i == len(months)-1); err != nil {
			return err
		}
	}
	return nil
}

// isPrefix reports whether what was read of the files is as it was, and whether there is
// more. Nobody writes to a file behind which another was begun.
func (x *Index) isPrefix(months []string) (ok, more bool) {
	if len(x.files) > len(months) {
		return false, false
	}
	more = len(x.files) < len(months)
	for i, file := range x.files {
		info, err := os.Lstat(x.ledger.path(months[i]))
		if err != nil || file.name != months[i] || !os.SameFile(info, file.info) || info.Size() < file.end {
			return false, false
		}
		if info.Size() == file.info.Size() && info.ModTime().Equal(file.info.ModTime()) {
			continue
		}
		if i < len(x.files)-1 {
			return false, false
		}
		more = true
		f, err := os.Open(x.ledger.path(file.name))
		if err != nil {
			return false, false
		}
		there := make([]byte, len(file.last))
		_, err = f.ReadAt(there, file.lastAt)
		f.Close()
		if err != nil || !bytes.Equal(there, file.last) {
			return false, false
		}
	}
	return true, more
}

// read reads what is new in one file.
func (x *Index) read(number int, isLast bool) error {
	file := &x.files[number]
	f, err := os.Open(x.ledger.path(file.name)) // anew, or NFS might not show what others appended
	if err != nil {
		return err
	}
	file.close()
	file.opened = f
	if !isLast {
		defer file.close()
	}
	if file.info, err = f.Stat(); err != nil {
		return err
	}
	end := file.info.Size()
	if isLast {
		tail, err := readTail(f, file.end, end)
		if err != nil {
			return err
		}
		end = tail.good
	}
	lines := scanner{r: f, off: file.end, end: end}
	for lines.next() {
		file.end, file.lastAt = lines.after(), lines.at
		file.last = append(append(file.last[:0], lines.line...), '\n')
		x.add(lines.line, int64(number)<<offsetBits|lines.at)
	}
	return lines.err
}

func (x *Index) hash(key []byte) keyHash {
	return keyHash{maphash.Bytes(x.seeds[0], key), maphash.Bytes(x.seeds[1], key)}
}

// add notes a line at a place.
func (x *Index) add(line []byte, at int64) {
	f, ok := fieldsOf(line)
	if !ok {
		return
	}
	if len(f.side) > 0 {
		x.taken[string(f.side)]++
	}
	if Kind(f.kind) == Created {
		x.made[string(f.key)] = at
	}
	is, known := classes[Kind(f.kind)]
	if !known || len(f.key) == 0 {
		return
	}
	hash := x.hash(f.key)
	n, known := x.keys[hash]
	if !known {
		n = int32(len(x.last))
		x.keys[hash] = n
		x.last = append(x.last, places{-1, -1})
	}
	if is.presence {
		x.last[n].presence = at
	}
	if is.phase {
		x.last[n].phase = at
	}
}

// overlay notes a line of a side file, which comes after all others.
func (x *Index) overlay(line Line) error {
	if line.Kind == Created {
		if x.sidesMade == nil {
			x.sidesMade = map[string]*Line{}
		}
		x.sidesMade[line.Key] = &line
	}
	is, known := classes[line.Kind]
	if !known || line.Key == "" {
		return nil
	}
	latest, ok := x.sides[line.Key]
	if !ok {
		var err error
		if latest, err = x.lookup(line.Key); err != nil {
			return err
		}
	}
	if is.presence {
		latest.Presence = &line
	}
	if is.phase {
		latest.Phase = &line
	}
	if x.sides == nil {
		x.sides = map[string]Latest{}
	}
	x.sides[line.Key] = latest
	return nil
}

// Lookup returns the last lines of a key. It fails with a *BreakError if one of them
// can't be read, or was changed since the index was made.
func (x *Index) Lookup(key string) (Latest, error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if latest, ok := x.sides[key]; ok {
		return latest, nil
	}
	return x.lookup(key)
}

// Made returns the last line that says that the job of a key was made for the archive, or
// nil. It fails as Lookup does.
func (x *Index) Made(key string) (*Line, error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if line := x.sidesMade[key]; line != nil {
		return line, nil
	}
	at, ok := x.made[key]
	if !ok {
		return nil, nil
	}
	return x.lineAt(at, key)
}

// lookup is Lookup without side files.
func (x *Index) lookup(key string) (latest Latest, err error) {
	n, ok := x.keys[x.hash([]byte(key))]
	if !ok {
		return Latest{}, nil
	}
	p := x.last[n]
	if latest.Presence, err = x.lineAt(p.presence, key); err != nil {
		return Latest{}, err
	}
	if p.phase == p.presence {
		latest.Phase = latest.Presence
		return latest, nil
	}
	latest.Phase, err = x.lineAt(p.phase, key)
	return latest, err
}

// lineAt reads the line of a key at a place.
func (x *Index) lineAt(at int64, key string) (*Line, error) {
	if at < 0 {
		return nil, nil
	}
	file, off := x.files[at>>offsetBits], at&(1<<offsetBits-1)
	f := file.opened
	if f == nil {
		var err error
		if f, err = os.Open(x.ledger.path(file.name)); err != nil {
			return nil, err
		}
		defer f.Close()
	}
	b := make([]byte, 4<<10)
	n, err := f.ReadAt(b, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	b, _, ok := bytes.Cut(b[:n], []byte{'\n'})
	if !ok { // it is a long one
		lines := scanner{r: f, off: off, end: file.end}
		if !lines.next() {
			return nil, errors.Join(lines.err, &fs.PathError{Op: "read", Path: f.Name(), Err: io.ErrUnexpectedEOF})
		}
		b = lines.line
	}
	line, whole, err := parse(b)
	if !whole || err != nil || line.Key != key {
		return nil, &BreakError{Break: Break{File: file.name, SeqAfter: line.Seq}, Why: fmt.Sprintf("at byte %d there is no line of %s", off, key)}
	}
	return &line, nil
}

// Keys returns all keys, in order.
func (x *Index) Keys() ([]string, error) {
	return x.keysOf(func(places) bool { return true }, func(Latest) bool { return true })
}

// Unlanded returns, in order, the keys of which the last phase may be another than
// that they landed or were removed.
func (x *Index) Unlanded() ([]string, error) {
	return x.keysOf( // one line that says both says that it landed, or was removed
		func(p places) bool { return p.phase >= 0 && p.phase != p.presence },
		func(l Latest) bool { return l.Phase != nil && l.Phase != l.Presence })
}

// keysOf returns, in order, the keys whose last lines are wanted: those of files by their
// places, and those of side files as they are. It reads the keys from their lines, and
// fails if some of these are not there any more.
func (x *Index) keysOf(wantPlaces func(places) bool, want func(Latest) bool) (keys []string, err error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for key, latest := range x.sides {
		if want(latest) {
			keys = append(keys, key)
		}
	}
	found := 0
	for i, file := range x.files {
		f, err := os.Open(x.ledger.path(file.name))
		if err != nil {
			return nil, err
		}
		lines := scanner{r: f, end: file.end}
		for lines.next() {
			fields, ok := fieldsOf(lines.line)
			n, known := x.keys[x.hash(fields.key)]
			if !ok || !known {
				continue
			}
			at, p := int64(i)<<offsetBits|lines.at, x.last[n]
			if at != max(p.presence, p.phase) {
				continue
			}
			found++
			if _, later := x.sides[string(fields.key)]; !later && wantPlaces(p) {
				keys = append(keys, string(fields.key))
			}
		}
		f.Close()
		if lines.err != nil {
			return nil, lines.err
		}
	}
	if found < len(x.last) {
		return nil, fmt.Errorf("the ledger was changed while it was read: the last lines of %d exports are not there any more", len(x.last)-found)
	}
	slices.Sort(keys)
	return keys, nil
}
