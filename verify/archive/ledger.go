package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// A ledger lists the objects of an ingest that are done: received, proven,
// decoded and durable. A line is written once its object is.
type ledger struct {
	mu      sync.Mutex
	path    string
	objects map[string]Object // by name
	asked   map[string]bool   // by name: this attempt's export has it
}

// load reads the ledger as far as it holds: an object whose files are not as
// its line says is received again, and a line that was cut short is none.
func (l *ledger) load(ctx context.Context, path string, root *os.Root) error {
	l.path, l.objects, l.asked = path, map[string]Object{}, map[string]bool{}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for line := range bytes.Lines(b) {
		var o Object
		if json.Unmarshal(line, &o) == nil && o.Name != "" {
			l.objects[o.Name] = o
		}
	}
	maps.DeleteFunc(l.objects, func(_ string, o Object) bool { return !o.isIn(ctx, root) })
	return context.Cause(ctx) // of which it may be that an object was not found
}

// add makes an object done.
func (l *ledger) add(d disk, o Object) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	line, err := json.Marshal(o)
	if err != nil {
		return err
	}
	if err := d.begin("write", l.path); err != nil {
		return err
	}
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(slices.Concat([]byte("\n"), line, []byte("\n"))) // a line cut short must not swallow this one
	if err = errors.Join(err, d.sync(f), f.Close()); err == nil {
		l.objects[o.Name], l.asked[o.Name] = o, true
	}
	return err
}

// ask finds an object that the export has.
func (l *ledger) ask(name string, holds func(Object) bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	o, ok := l.objects[name]
	l.asked[name] = ok && holds(o)
	return l.asked[name]
}

// forget makes an object one that is not done, and returns what it was.
func (l *ledger) forget(name string) Object {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := l.objects[name]
	delete(l.objects, name)
	return o
}

// close ends the ledger: it keeps the objects that this attempt's export has,
// and lists them in the order of their names.
func (l *ledger) close() []Object {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.objects, func(name string, _ Object) bool { return !l.asked[name] })
	return slices.SortedFunc(maps.Values(l.objects), func(a, b Object) int { return strings.Compare(a.Name, b.Name) })
}

// paths are the files of the objects that are done and the directories above
// them, as they lie in a bag.
func (l *ledger) paths() map[string]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	paths := map[string]bool{".": true, dataDir: true}
	for _, o := range l.objects {
		for _, f := range o.Files {
			for p := path.Join(dataDir, f.Path); !paths[p]; p = path.Dir(p) {
				paths[p] = true
			}
		}
	}
	return paths
}

// isIn reports whether the object's files are there as they were written.
func (o Object) isIn(ctx context.Context, root *os.Root) bool {
	for _, f := range o.Files {
		r, err := root.Open(filepath.FromSlash(f.Path))
		if err != nil {
			return false
		}
		size, sum, err := hashFile(cancelable{ctx, r})
		r.Close()
		if err != nil || size != f.Size || sum != f.SHA256 {
			return false
		}
	}
	return true
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
