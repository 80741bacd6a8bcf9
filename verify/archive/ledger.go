package archive

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
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
}

// load reads the ledger as far as it holds: an object whose files are not as
// its line says is received again, and a line that was cut short is none.
func (l *ledger) load(path string, root *os.Root) error {
	l.path, l.objects = path, map[string]Object{}
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
	maps.DeleteFunc(l.objects, func(_ string, o Object) bool { return !o.isIn(root) })
	return nil
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
		l.objects[o.Name] = o
	}
	return err
}

func (l *ledger) get(name string) (Object, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	o, ok := l.objects[name]
	return o, ok
}

func (l *ledger) forget(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.objects, name)
}

// all lists the objects in the order of their names.
func (l *ledger) all() []Object {
	return slices.SortedFunc(maps.Values(l.objects), func(a, b Object) int { return strings.Compare(a.Name, b.Name) })
}

func (l *ledger) files() map[string]bool {
	files := map[string]bool{}
	for _, o := range l.objects {
		for _, f := range o.Files {
			files[f.Path] = true
		}
	}
	return files
}

// isIn reports whether the object's files are there as they were written.
func (o Object) isIn(root *os.Root) bool {
	for _, f := range o.Files {
		r, err := root.Open(filepath.FromSlash(f.Path))
		if err != nil {
			return false
		}
		size, sum, err := hashFile(r)
		r.Close()
		if err != nil || size != f.Size || sum != f.SHA256 {
			return false
		}
	}
	return true
}

func hashFile(r io.Reader) (int64, string, error) {
	h := sha256.New()
	n, err := io.Copy(h, bufio.NewReaderSize(r, 1<<20))
	return n, hex.EncodeToString(h.Sum(nil)), err
}

// walkFiles visits each regular file below dir by its slash-separated name.
// Anything that is neither a regular file nor a directory is an error.
func walkFiles(dir string, visit func(name string) error) error {
	return filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		if !e.Type().IsRegular() {
			return fmt.Errorf("%s is not a regular file", p)
		}
		name, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		return visit(filepath.ToSlash(name))
	})
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
