package archive

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

// A ledger lists the objects of an ingest that are done: received, proven and
// decoded. A line is written once its object is. An export may have more
// objects than there is memory for, so what they are stays on disk.
type ledger struct {
	mu     sync.Mutex
	file   *os.File
	lines  map[string]line // by the name of the object
	synced time.Time
}

// A line is where a line of a ledger is.
type line struct {
	off   int64
	size  int
	asked bool // this attempt's export has the object
}

// load reads the ledger as far as it holds: an object whose files are not as
// its line says is received again, and a line that was cut short is none.
func (l *ledger) load(ctx context.Context, d disk, path string, root *os.Root) (err error) {
	l.lines = map[string]line{}
	if err := d.begin("create", path); err != nil {
		return err
	}
	if l.file, err = os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644); err != nil {
		return err
	}
	if err := l.find(); err != nil {
		return err
	}
	for name := range l.lines {
		o, err := l.read(name)
		if err == nil && o.isWhole() {
			err = o.isIn(ctx, d, root)
		}
		switch {
		case starved(err):
			return err
		case err != nil || !o.isWhole():
			delete(l.lines, name)
		}
	}
	return context.Cause(ctx) // of which it may be that an object was not found
}

// find finds the last line of each object.
func (l *ledger) find() error {
	in := bufio.NewReader(l.file)
	for off := int64(0); ; {
		b, err := in.ReadBytes('\n')
		var o struct{ Name string }
		if json.Unmarshal(b, &o) == nil && o.Name != "" {
			l.lines[o.Name] = line{off: off, size: len(b)}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		off += int64(len(b))
	}
}

// raw is the line of an object.
func (l *ledger) raw(name string) ([]byte, error) {
	b := make([]byte, l.lines[name].size)
	_, err := l.file.ReadAt(b, l.lines[name].off)
	return b, err
}

func (l *ledger) read(name string) (o Object, err error) {
	b, err := l.raw(name)
	if err == nil {
		err = json.Unmarshal(b, &o)
	}
	if err != nil {
		return o, fmt.Errorf("read what was received of %s: %w", name, err)
	}
	return o, nil
}

// add makes an object done.
func (l *ledger) add(d disk, o Object) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, err := json.Marshal(o)
	if err != nil {
		return err
	}
	if err := d.begin("write", l.file.Name()); err != nil {
		return err
	}
	end, err := l.file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if _, err = l.file.Write(slices.Concat([]byte("\n"), b, []byte("\n"))); err != nil { // a line cut short must not swallow this one
		return err
	}
	if err := l.sync(d); err != nil {
		return err
	}
	l.lines[o.Name] = line{end + 1, len(b) + 1, true}
	return nil
}

// eachSync is how much work a power cut may cost: what is not synced is
// received again.
const eachSync = time.Second

// sync makes the lines durable, unless it did a moment ago.
func (l *ledger) sync(d disk) error {
	if time.Since(l.synced) < eachSync {
		return nil
	}
	err := d.sync(l.file)
	l.synced = time.Now()
	return err
}

// ask finds an object that the export has.
func (l *ledger) ask(name string, holds func(Object) bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, ok := l.lines[name]
	if !ok {
		return false
	}
	o, err := l.read(name)
	at.asked = err == nil && holds(o)
	l.lines[name] = at
	return at.asked
}

// forget makes an object one that is not done, and returns what it was.
func (l *ledger) forget(name string) (o Object, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.lines[name]; ok {
		o, err = l.read(name)
	}
	delete(l.lines, name)
	return o, err
}

// close ends the ledger: it keeps the objects that this attempt's export has,
// and tells how many they are.
func (l *ledger) close() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.lines, func(_ string, at line) bool { return !at.asked })
	return len(l.lines)
}

// all yields the objects that are done, in the order of their names.
func (l *ledger) all() iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		for _, name := range l.names() {
			if o, err := l.read(name); !yield(o, err) || err != nil {
				return
			}
		}
	}
}

func (l *ledger) names() []string { return slices.Sorted(maps.Keys(l.lines)) }

// writeTo writes a line for each object that is done, in the order of their
// names.
func (l *ledger) writeTo(w io.Writer) error {
	for _, name := range l.names() {
		b, err := l.raw(name)
		if err != nil {
			return err
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// paths are the files of the objects that are done and the directories above
// them, as they lie in a bag.
func (l *ledger) paths() (map[string]bool, error) {
	paths := map[string]bool{".": true, dataDir: true}
	for o, err := range l.all() {
		if err != nil {
			return nil, err
		}
		for _, f := range o.Files {
			for p := path.Join(dataDir, f.Path); !paths[p]; p = path.Dir(p) {
				paths[p] = true
			}
		}
	}
	return paths, nil
}

// isWhole reports whether the object is one that was proven: of any other line
// that says a name it would be believed that there are no files to it.
func (o Object) isWhole() bool { return o.CRC64 != "" && len(o.Checks) > 0 }

// isIn is nil if the object's files are there as they were written.
func (o Object) isIn(ctx context.Context, d disk, root *os.Root) error {
	for _, f := range o.Files {
		if err := f.isIn(ctx, d, root); err != nil {
			return fmt.Errorf("check what was received of %s: %w", o.Name, err)
		}
	}
	return nil
}

func (f File) isIn(ctx context.Context, d disk, root *os.Root) error {
	if err := d.begin("read", filepath.Join(root.Name(), f.Path)); err != nil {
		return err
	}
	r, err := root.Open(filepath.FromSlash(f.Path))
	if err != nil {
		return err
	}
	defer r.Close()
	size, sum, err := hashFile(cancelable{ctx, r})
	if err == nil && (size != f.Size || sum != f.SHA256) {
		err = ErrDamaged
	}
	return err
}

// starved reports that the system could not open a file just now, which says
// nothing of the file.
func starved(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM)
}

func hashFile(r io.Reader) (int64, string, error) {
	h := sha256.New()
	n, err := io.Copy(h, r)
	return n, hex.EncodeToString(h.Sum(nil)), err
}

func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}
