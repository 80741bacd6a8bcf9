package archive

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// readContent reads a file of an export to its end, in small pieces.
func readContent(t *testing.T, a *Archive, path string) (string, error) {
	t.Helper()
	c, err := a.Contents(testKey)
	if err != nil {
		return "", err
	}
	defer c.Close()
	r, err := c.Open(path)
	if err != nil {
		return "", err
	}
	defer r.Close()
	var b strings.Builder
	_, err = io.CopyBuffer(&b, struct{ io.Reader }{r}, make([]byte, 100_003))
	return b.String(), err
}

// What is read of an export is what landed, whatever its size.
func TestContentIsReadAsItLanded(t *testing.T) {
	landed := export{"small": rows(100), "empty": "", "one": rows(heldBack), "more": rows(2*heldBack + 1), "deep/file": rows(7)}
	a, _ := mustLand(t, t.TempDir(), landed)
	c, err := a.Contents(testKey)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if !slices.Equal(c.Paths, landed.names()) {
		t.Errorf("it has %q", c.Paths)
	}
	for name, body := range landed {
		if got, err := readContent(t, a, name); got != body || err != nil {
			t.Errorf("%s has %d bytes of %d: %v", name, len(got), len(body), err)
		}
	}
	if r, err := c.Open("absent"); !errors.Is(err, ErrDamaged) {
		t.Errorf("a file that is not there: %v, %v", r, err)
	}
}

// Nobody is given the end of a file that is not as it landed, nor of a small one
// anything; the other files are read all the same.
func TestDamagedContentIsNotReadToItsEnd(t *testing.T) {
	for name, test := range map[string]struct {
		path   string
		change func(b []byte) []byte
		max    int
	}{
		"a small one":         {"small", func(b []byte) []byte { b[5] ^= 1; return b }, 0},
		"the end of a big":    {"big", func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, 2 * heldBack},
		"one that was cut":    {"big", func(b []byte) []byte { return b[:heldBack] }, 0},
		"one that grew":       {"big", func(b []byte) []byte { return append(b, 'x') }, 2 * heldBack},
		"one that is emptied": {"small", func([]byte) []byte { return nil }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			landed := export{"small": rows(100), "big": rows(2*heldBack + 1000), "other": rows(30)}
			a, bag := mustLand(t, t.TempDir(), landed)
			edit(t, filepath.Join(bag, dataDir, test.path), test.change)
			got, err := readContent(t, a, test.path)
			if damage, ok := errors.AsType[*Damage](err); !ok || len(got) > test.max {
				t.Errorf("%d bytes, and %v, %v", len(got), err, damage)
			}
			if got, err := readContent(t, a, "other"); got != landed["other"] || err != nil {
				t.Errorf("the other has %d bytes, %v", len(got), err)
			}
		})
	}
}

func TestContentsOfWhatIsGone(t *testing.T) {
	a, bag := mustLand(t, t.TempDir(), threeObjects())
	if _, err := a.Contents("sls/never"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of what never landed: %v", err)
	}
	edit(t, filepath.Join(bag, manifest), func(b []byte) []byte { return b[1:] })
	if _, err := a.Contents(testKey); !errors.Is(err, ErrDamaged) {
		t.Errorf("with another manifest: %v", err)
	}
	if err := os.RemoveAll(bag); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Contents(testKey); !errors.Is(err, ErrDamaged) {
		t.Errorf("without a bag: %v", err)
	}
}

// The ledger vouches for what is read: a bag of which it has lost the line is damaged, and
// one that may have been copied here later is said to be newer.
func TestContentsWithoutALine(t *testing.T) {
	tests := map[string]struct {
		lost    string // the export of which the line is lost, of one and two
		damaged bool
	}{
		"lost among others": {"one", true},
		"lost from the end": {"two", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a, _ := mustLand(t, t.TempDir(), threeObjects())
			landNamed(t, a, "one")
			time.Sleep(2 * sameTime)
			landNamed(t, a, "two")
			editLedger(func(lines []string) []string {
				return slices.DeleteFunc(lines, func(line string) bool { return strings.Contains(line, keyOf(test.lost)) })
			})(t, a)
			c, err := a.Contents(keyOf(test.lost))
			if test.damaged {
				if _, ok := errors.AsType[*Damage](err); !ok || !strings.Contains(err.Error(), noLine) {
					t.Errorf("it is read, and fails with %v", err)
				}
				return
			}
			if err != nil || !c.Newer {
				t.Fatalf("it is refused with %v, or not said to be newer", err)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
