package catalog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"tallyman/verify/archive"
	"tallyman/verify/archive/ledger"
)

// databases are the paths of the databases in a directory.
func databases(t testing.TB, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// Whatever is in the place of the file, the catalog tells what the ledger does, and why it
// was made anew.
func TestAFileThatIsOfNoUseIsMadeAnew(t *testing.T) {
	for name, test := range map[string]struct {
		change func(t *testing.T, path string, text []byte) []byte
		why    string
	}{
		"as it was":     {func(_ *testing.T, _ string, text []byte) []byte { return text }, ""},
		"cut":           {func(_ *testing.T, _ string, text []byte) []byte { return text[:len(text)/2] }, "it was cut"},
		"empty":         {func(*testing.T, string, []byte) []byte { return nil }, "it is damaged"},
		"overwritten":   {func(_ *testing.T, _ string, text []byte) []byte { return []byte(strings.Repeat("x", len(text))) }, "it is damaged"},
		"zeros in it":   {func(_ *testing.T, _ string, text []byte) []byte { clear(text[4096:]); return text }, "it is damaged"},
		"an older one":  {func(_ *testing.T, _ string, text []byte) []byte { text[63]--; return text }, fmt.Sprintf("it is of version %d, and this is %d", schemaVersion-1, schemaVersion)},
		"a newer one":   {func(_ *testing.T, _ string, text []byte) []byte { text[63]++; return text }, fmt.Sprintf("it is of version %d, and this is %d", schemaVersion+1, schemaVersion)},
		"no state":      {withSQL("DELETE FROM meta"), "it is of another archive"},
		"a bad state":   {withSQL("UPDATE meta SET value = '{'"), "unexpected end of JSON input"},
		"another place": {withSQL("UPDATE meta SET value = replace(value, '/archive', '/other')"), "it is of another archive"},
	} {
		t.Run(name, func(t *testing.T) {
			a, dir := newArchive(t)
			mustAppend(t, a, landedLine("p", "a", 1, 5), landedLine("p", "b", 2, 6))
			if err := mustOpen(t, a, dir).Close(); err != nil {
				t.Fatal(err)
			}
			path := databases(t, dir)[0]
			text, err := os.ReadFile(path)
			if err == nil {
				err = os.WriteFile(path, test.change(t, path, text), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			c := mustOpen(t, a, dir)
			if got := mustNames(t, c, Filter{}); got != "a b" {
				t.Errorf("it has %q", got)
			}
			if c.Rebuilt != test.why || c.InMemory != "" {
				t.Errorf("it was made anew since %q, want %q; in memory: %q", c.Rebuilt, test.why, c.InMemory)
			}
			if left := databases(t, dir); len(left) != 1 {
				t.Errorf("there are %q", left)
			}
			if again := mustOpen(t, a, dir); again.Rebuilt != "" {
				t.Errorf("it is made anew again: %s", again.Rebuilt)
			}
		})
	}
}

// withSQL changes a database by a statement.
func withSQL(sql string) func(*testing.T, string, []byte) []byte {
	return func(t *testing.T, path string, _ []byte) []byte {
		t.Helper()
		c := &Catalog{}
		err := c.connect(path, sql)
		if err = errors.Join(err, c.Close()); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
}

// Where a file must not be, or can't be, the catalog is in memory, and says why.
func TestACatalogInMemory(t *testing.T) {
	a, dir := newArchive(t)
	mustAppend(t, a, landedLine("p", "a", 1, 5))
	inArchive := filepath.Join(dir, "link")
	if err := os.Symlink(a.Path(""), inArchive); err != nil {
		t.Fatal(err)
	}
	occupied := filepath.Join(dir, "file")
	if err := os.WriteFile(occupied, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for at, why := range map[string]string{
		"":                                 "no directory is known for it",
		filepath.Join(a.Path(""), "sls"):   "is in the archive",
		inArchive:                          "is in the archive",
		occupied:                           "not a directory",
		filepath.Join(occupied, "catalog"): "not a directory",
	} {
		c := mustOpen(t, a, at)
		if got := mustNames(t, c, Filter{}); got != "a" || !strings.Contains(c.InMemory, why) {
			t.Errorf("%s: it has %q, in memory since %q", at, got, c.InMemory)
		}
		mustAppend(t, a, landedLine("p", "a", 1, 5))
		if err := c.Refresh(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// A copy of an archive has the same ID, and a catalog of its own.
func TestACopyHasACatalogOfItsOwn(t *testing.T) {
	a, dir := newArchive(t)
	mustAppend(t, a, landedLine("p", "a", 1, 5))
	copied := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(copied, os.DirFS(a.Path(""))); err != nil {
		t.Fatal(err)
	}
	other, err := archive.OpenExisting(copied)
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, other, landedLine("p", "b", 2, 6))
	for range 2 {
		if got := mustNames(t, mustOpen(t, a, dir), Filter{}); got != "a" {
			t.Errorf("the archive has %q", got)
		}
		if c := mustOpen(t, other, dir); mustNames(t, c, Filter{}) != "a b" || c.Cut != nil {
			t.Errorf("the copy has %q, %v", mustNames(t, c, Filter{}), c.Cut)
		}
	}
}

// A ledger that lacks a line which was read before was cut, until a person adopts that.
func TestALedgerThatWasCut(t *testing.T) {
	a, dir := newArchive(t)
	mustAppend(t, a, landedLine("p", "a", 1, 5), landedLine("p", "b", 2, 6), landedLine("p", "c", 3, 7))
	c := mustOpen(t, a, dir)
	path := a.Path(filepath.Join(".ledger", c.position.File))
	text, err := os.ReadFile(path)
	if err == nil {
		lines := strings.SplitAfter(string(text), "\n")
		err = os.WriteFile(path, []byte(strings.Join(lines[:2], "")), 0o600)
	}
	if err == nil {
		a, err = archive.OpenExisting(a.Path(""))
	}
	if err != nil {
		t.Fatal(err)
	}
	mustBeCut := func(when, want string) *Catalog {
		t.Helper()
		c := mustOpen(t, a, dir)
		if c.Cut == nil || !errors.Is(c.Cut, archive.ErrDamaged) || mustNames(t, c, Filter{}) != want {
			t.Errorf("%s: %v, with %q", when, c.Cut, mustNames(t, c, Filter{}))
		}
		return c
	}
	mustBeCut("at once", "a b")
	mustBeCut("again", "a b")
	mustAppend(t, a, landedLine("p", "d", 4, 8))
	mustBeCut("with other lines in their places", "a b d")
	mustAppend(t, a, landedLine("p", "e", 5, 9))
	c = mustBeCut("with more lines", "a b d e")
	adopted := c.Cut.Break()
	if err := a.Audit().AdoptBreaks([]*ledger.BreakError{adopted}, "put back"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if c := mustOpen(t, a, dir); c.Cut != nil {
			t.Errorf("once it is adopted: %v", c.Cut)
		}
	}
}

// Many who open a catalog at once, while the ledger grows, all see it as it was at some
// time, and none fails.
func TestManyAtOnce(t *testing.T) {
	a, dir := newArchive(t)
	mustAppend(t, a, landedLine("p", "a", 1, 5))
	var all sync.WaitGroup
	for n := range 6 {
		all.Go(func() {
			for i := range 5 {
				if err := a.Ledger().Append(landedLine("p", string(rune('b'+n)), i, 6)); err != nil {
					t.Error(err)
				}
				c, err := Open(t.Context(), a, Options{Dir: dir})
				if err != nil {
					t.Error(err)
					return
				}
				if own, err := c.Export("sls/cn-hangzhou/p/" + string(rune('b'+n))); err != nil || own.Attempts != i+1 {
					t.Errorf("%+v, %v", own, err)
				}
				if c.InMemory != "" || c.Cut != nil {
					t.Error(c.InMemory, c.Cut)
				}
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if diff := cmp.Diff(mustDump(t, mustOpen(t, a, "")), mustDump(t, mustOpen(t, a, dir)), cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}
