package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"tallyman/verify"
	"tallyman/verify/archive/internal/powercut"
)

// landWires is land with kept wires. The content is the first half of each wire, and
// is kept if content is set.
func landWires(a *Archive, e export, content bool) (*Receipt, error) {
	if r, err := a.Landed(testKey); !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	in, err := a.Begin(context.Background(), testRef, testKey)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	for _, name := range e.names() {
		if in.Done(name, promise(e[name])) {
			continue
		}
		if err := receiveWire(in, name, e[name], content); err != nil {
			return nil, err
		}
	}
	return in.Commit(Summary{Reference: testRef, Records: verify.Unknown})
}

func receiveWire(in *Ingest, name, body string, content bool) (err error) {
	p, err := in.Partial(context.Background(), name, promise(body))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	if err := p.AddPromise(promise(body)); err != nil {
		return err
	}
	for t := range p.Missing(p.Want().Size, testPart) {
		if err := fill(t, body); err != nil {
			return err
		}
	}
	p.KeepWire(func(codec string) string { return name + "." + codec })
	if _, err := io.Copy(io.Discard, p.Wire(context.Background())); err != nil {
		return err
	}
	half := []byte(body[:len(body)/2])
	if content {
		err = create(p, name, half)
	} else {
		w, _ := p.CreateCounted(name, "csv")
		w.Write(half)
		err = w.Close()
	}
	if err != nil {
		return err
	}
	return p.Finish("z", true)
}

func wires(e export, content bool) export {
	kept := export{}
	for name, body := range e {
		kept[name+".z"] = body
		if content {
			kept[name] = body[:len(body)/2]
		}
	}
	return kept
}

// After a crash at any step the export is whole or absent, and the next attempt lands
// it.
func TestAWireIsKeptWholeOrNotAtAll(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine, a thousand times")
	}
	for _, content := range []bool{false, true} {
		for _, once := range []bool{false, true} {
			for at, ended := 1, false; !ended; at++ {
				dir := t.TempDir()
				c := &crash{at: at, once: once, disk: powercut.New(t, dir)}
				a, err := openWith(dir, c.step)
				if err == nil {
					_, err = landWires(a, threeObjects(), content)
				}
				if ended = c.seen < at; ended && err != nil {
					t.Fatalf("an attempt without a crash: %v", err)
				}
				after := filepath.Join(t.TempDir(), "after")
				c.disk.Cut(after, powercut.KeepAtRandom())
				for _, dir := range []string{dir, after} {
					a = mustOpen(t, dir)
					if err := a.Recheck(t.Context(), testKey, nil); err != nil && !errors.Is(err, fs.ErrNotExist) {
						t.Errorf("crash at %d: a part of the export is there: %v", at, err)
					}
					if _, err := landWires(a, threeObjects(), content); err != nil {
						t.Fatalf("crash at %d, then: %v", at, err)
					}
					mustHaveLanded(t, a, wires(threeObjects(), content))
				}
			}
		}
	}
}

// A Partial whose file is read-only could not be opened again.
func TestAWireBecomesReadOnlyOnlyInTheBag(t *testing.T) {
	dir := t.TempDir()
	a, err := openWith(dir, func(op, path string) error {
		if op == "link" && filepath.Ext(path) == ".z" {
			return errCrash
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := landWires(a, export{"a": rows(100)}, false); !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	parts, _ := filepath.Glob(filepath.Join(dir, ingestDir, testHash, "parts", "*.wire"))
	if len(parts) != 1 {
		t.Fatal(parts)
	}
	info, err := os.Stat(parts[0])
	if err != nil || info.Mode().Perm()&0o200 == 0 || info.Size() != 100 {
		t.Errorf("%v, %v", info, err)
	}
	if _, err := landWires(mustOpen(t, dir), export{"a": rows(100)}, false); err != nil {
		t.Error(err)
	}
}

func TestAWireIsNamedBesideItsContent(t *testing.T) {
	for _, tt := range []struct{ name, content, codec, want string }{
		{"w", "c", "z", "w"},
		{"w", "w", "z", "w.wire"},
		{"w", "w/deep/c", "z", "w.wire"},
		{"w", "wide", "z", "w"},
		{"w", "c", "", ""}, // the wire is the content
		{"d/w", "d", "z", "!"},
		{"../w", "c", "z", "!"},
		{"w\n", "c", "z", "!"},
	} {
		in := mustBegin(t, mustOpen(t, t.TempDir()))
		p := mustPartial(t, in, "o", promise("body"))
		err := p.AddPromise(promise("body"))
		for part := range p.Missing(4, testPart) {
			err = errors.Join(err, fill(part, "body"))
		}
		p.KeepWire(func(string) string { return tt.name })
		_, read := io.ReadAll(p.Wire(t.Context()))
		err = errors.Join(err, read, create(p, tt.content, []byte("content")))
		if err != nil {
			t.Fatal(err)
		}
		err = p.Finish(tt.codec, false)
		if refused := errors.Is(err, ErrName); refused != (tt.want == "!") || err != nil && !refused {
			t.Errorf("%+v: %v", tt, err)
		}
		want := map[string]bool{tt.content: true, tt.want: tt.want != "" && tt.want != "!"}
		for _, f := range p.files {
			if !want[f.Path] || f.Wire != (f.Path == tt.want) {
				t.Errorf("%+v: %+v", tt, f)
			}
			delete(want, f.Path)
		}
		if err == nil && len(want) > 0 && want[tt.want] {
			t.Errorf("%+v: %v is missing", tt, want)
		}
		p.Close()
		in.Close()
	}
}

func TestAWireCannotTakeTheNameOfAnotherFile(t *testing.T) {
	in := mustBegin(t, mustOpen(t, t.TempDir()))
	defer in.Close()
	keep := func(name string) error {
		p := mustPartial(t, in, name, promise(name))
		defer p.Close()
		err := p.AddPromise(promise(name))
		for part := range p.Missing(int64(len(name)), testPart) {
			err = errors.Join(err, fill(part, name))
		}
		p.KeepWire(func(string) string { return "same" })
		_, read := io.ReadAll(p.Wire(t.Context()))
		return errors.Join(err, read, p.Finish("", false))
	}
	if err := keep("first"); err != nil {
		t.Fatal(err)
	}
	if err := keep("second"); !errors.Is(err, ErrName) {
		t.Errorf("%v, want %v", err, ErrName)
	}
	path := in.path(bagDir, dataDir, "same")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	in.archive.step = func(op, at string) error { // the first one gets there between two steps of the second
		if op == "link" && at == path {
			return os.WriteFile(path, []byte("first"), 0o600)
		}
		return nil
	}
	if err := keep("second"); !errors.Is(err, ErrName) {
		t.Errorf("%v, want %v", err, ErrName)
	}
	in.archive.step = func(string, string) error { return nil }
	if _, err := in.Commit(Summary{Reference: testRef, Records: verify.Unknown}); err != nil {
		t.Fatal(err)
	}
	mustHaveLanded(t, in.archive, export{"same": "first"})
}

func TestContentThatIsNotKeptIsCounted(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	r, err := landWires(a, export{"a": "1\n2\n3\n4\n", "b": "1\n2\n"}, false)
	if err != nil || r.Records != 3 || r.Files != 2 || r.Bytes != 12 {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, o := range r.Objects {
		if len(o.Counted) != 1 || o.Counted[0].Format != "csv" || len(o.Files) != 1 || !o.Files[0].Wire || o.Files[0].Records != verify.Unknown {
			t.Errorf("%s", fmt.Sprint(o))
		}
	}
}
