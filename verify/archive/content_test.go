package archive

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tallyman/verify"
)

// received returns an object whose bytes are proven and not yet decoded.
func received(t *testing.T) (*Ingest, *Partial) {
	t.Helper()
	in := mustBegin(t, mustOpen(t, t.TempDir()))
	t.Cleanup(func() { in.Close() })
	p := proven(t, in, "o")
	return in, p
}

func proven(t *testing.T, in *Ingest, name string) *Partial {
	t.Helper()
	p := mustPartial(t, in, name, verify.Want{Size: 0})
	t.Cleanup(func() { p.Close() })
	if n, err := p.Wire(t.Context()).Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Fatal(n, err)
	}
	return p
}

func TestContentNamesStayInTheBagAndFitItsManifest(t *testing.T) {
	in, p := received(t)
	outside := t.TempDir()
	if err := errors.Join(os.Symlink(outside, in.path("bag", dataDir, "out")), os.Symlink("../..", in.path("bag", dataDir, "up"))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"", ".", "..", "/", "../x", "a/../../x", "a/../x", "./x", "a//x", "a/", "/etc/x", "out/x", "up/x", "up", "out",
		"a\nb", "a\rb", "a\tb", "a\x00b", "a\x7fb", "100%", "%0A", `a\b`, `..\x`, "a\xff", "\xc3", "a ", "a/b\u3000", strings.Repeat("x", 300),
	} {
		_, err := p.Create(name, "", false)
		if escapes := err != nil && strings.Contains(err.Error(), "path escapes from parent"); !escapes && !errors.Is(err, ErrName) {
			t.Errorf("create %q: %v, want %v", name, err, ErrName)
		}
	}
	for _, dir := range []string{outside, in.path("parts"), in.dir} {
		if _, err := os.Lstat(filepath.Join(dir, "x")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("there is an x in %s", dir)
		}
	}
}

func TestOneNameIsOneFile(t *testing.T) {
	in, p := received(t)
	if err := create(p, "a/b.csv", []byte("1\n")); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*Partial{p, proven(t, in, "other")} {
		if _, err := p.Create("a/b.csv", "", false); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%v", err)
		}
		for _, name := range []string{"a", "a/b.csv/c"} { // a directory as a file, and a file as a directory
			if _, err := p.Create(name, "", false); !errors.Is(err, ErrName) {
				t.Errorf("create %q: %v, want %v", name, err, ErrName)
			}
		}
	}
}

func TestFinishNeedsProofAndClosedFiles(t *testing.T) {
	for name, tt := range map[string]struct {
		prepare func(in *Ingest, p *Partial) error
		want    error
	}{
		"no wire":          {func(_ *Ingest, p *Partial) error { p.wire = nil; return nil }, errUnproven},
		"a wire not read":  {func(_ *Ingest, p *Partial) error { p.Wire(t.Context()); return nil }, errUnproven},
		"a file left open": {func(_ *Ingest, p *Partial) error { _, err := p.Create("x", "", false); return err }, errNotClosed},
		"a file cut short": {func(in *Ingest, p *Partial) error {
			w, err := p.Create("x", "", false)
			in.archive.step = func(string, string) error { return errCrash }
			w.Write([]byte("lost"))
			in.archive.step = func(string, string) error { return nil }
			if n, err := w.Write([]byte("more")); n > 0 || !errors.Is(err, errCrash) {
				t.Errorf("the next write: %d, %v", n, err)
			}
			if err := w.Close(); !errors.Is(err, errCutShort) {
				t.Errorf("closed: %v", err)
			}
			return err
		}, errNotClosed},
	} {
		in, p := received(t)
		if err := tt.prepare(in, p); err != nil {
			t.Fatal(err)
		}
		if err := p.Finish("", true); !errors.Is(err, tt.want) {
			t.Errorf("%s: finish: %v, want %v", name, err, tt.want)
		}
		if _, err := in.Commit(Summary{}); !errors.Is(err, errNoObjects) {
			t.Errorf("%s: commit: %v, want %v", name, err, errNoObjects)
		}
	}
}

func TestCommitLeavesOutUnfinishedObjects(t *testing.T) {
	in, p := received(t)
	if err := errors.Join(create(p, "here", []byte("1\n")), p.Finish("", true)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"undone", "deep/er/undone"} {
		if err := create(proven(t, in, name), name, []byte("2\n")); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(in.path("bag", objectsFile), nil, 0o444); err != nil {
		t.Fatal(err)
	}
	r, err := in.Commit(Summary{Reference: testRef})
	if err != nil || r.Files != 1 || len(r.Objects) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	mustHaveLanded(t, in.archive, export{"here": "1\n"})
	if left, err := os.ReadDir(filepath.Join(in.archive.Path(testKey), dataDir)); err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
}

func TestFilesAreReadOnlyAndDirectoriesAreWritable(t *testing.T) {
	_, bag := mustLand(t, t.TempDir(), threeObjects())
	err := filepath.WalkDir(bag, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if want := fs.FileMode(0o444); !d.IsDir() && info.Mode().Perm() != want || d.IsDir() && info.Mode().Perm()&0o700 != 0o700 {
			t.Errorf("%s is %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestAnUnwritableArchiveIsAPathError(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root writes everywhere")
	}
	dir := t.TempDir()
	a := mustOpen(t, dir)
	for _, locked := range []string{filepath.Join(dir, ingestDir), dir} {
		if err := os.Chmod(locked, 0o555); err != nil {
			t.Fatal(err)
		}
		_, err := land(a, threeObjects())
		if _, ok := errors.AsType[*fs.PathError](err); !ok {
			t.Errorf("%s: %v", locked, err)
		}
		os.Chmod(locked, 0o755)
	}
	mustHaveLanded(t, mustLandAgain(t, a), threeObjects())
}

func mustLandAgain(t *testing.T, a *Archive) *Archive {
	t.Helper()
	if _, err := land(a, threeObjects()); err != nil {
		t.Fatal(err)
	}
	return a
}
