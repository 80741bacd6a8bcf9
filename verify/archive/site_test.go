package archive

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"tallyman/verify/archive/internal/powercut"
)

// sites are ways to prepare the place of an archive in a directory.
var sites = []struct {
	name    string
	prepare func(t *testing.T, dir string)
	want    Site
}{
	{"nothing", func(*testing.T, string) {}, SiteAbsent},
	{"an ingest area", func(t *testing.T, dir string) { plantFile(t, dir, ".ingest/HASH/bag/bagit.txt") }, SiteBegun},
	{"an ingest area on a new disk", func(t *testing.T, dir string) { plantFile(t, dir, ".ingest/x"); plantFile(t, dir, "lost+found/x") }, SiteBegun},
	{"an empty directory", func(t *testing.T, dir string) { os.Mkdir(dir, 0o755) }, SiteEmpty},
	{"a new disk", func(t *testing.T, dir string) { os.MkdirAll(filepath.Join(dir, "lost+found"), 0o755) }, SiteEmpty},
	{"a link to an empty directory", func(t *testing.T, dir string) { os.Symlink(t.TempDir(), dir) }, SiteEmpty},
	{"a file of others", func(t *testing.T, dir string) { plantFile(t, dir, "notes.txt") }, SiteOccupied},
	{"files of others beside an ingest area", func(t *testing.T, dir string) { plantFile(t, dir, ".ingest/x"); plantFile(t, dir, "x/y") }, SiteOccupied},
	{"a bag whose archive is lost", func(t *testing.T, dir string) { plantBags(t, dir, testKey) }, SiteExports},
	{"a bag after another's files", func(t *testing.T, dir string) { plantFile(t, dir, "a/notes.txt"); plantBags(t, dir, testKey) }, SiteExports},
	{"a link to nothing", func(t *testing.T, dir string) { os.Symlink(filepath.Join(t.TempDir(), "unmounted"), dir) }, SiteNowhere},
}

func plantFile(t *testing.T, dir, name string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	rewrite(t, path, []byte("x"))
}

// below lists all that is below a directory.
func below(t *testing.T, dir string) string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		all = append(all, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, "\n")
}

func TestAnArchiveIsMadeOnlyWhereItMayBe(t *testing.T) {
	for _, tt := range sites {
		for may := SiteArchive; may <= SiteExports; may++ {
			top := t.TempDir()
			dir := filepath.Join(top, "archive")
			tt.prepare(t, dir)
			before := below(t, top)
			a, err := Open(dir, "", may)
			if may >= tt.want {
				if err != nil || !a.Made {
					t.Errorf("%s, up to %q: %v", tt.name, may, err)
				} else if again, err := Open(dir, a.ID(), SiteArchive); err != nil || again.Made {
					t.Errorf("%s, up to %q, once more: %v", tt.name, may, err)
				}
				continue
			}
			none, ok := errors.AsType[*NoArchiveError](err)
			if !ok || none.Site != tt.want || !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), dir) {
				t.Errorf("%s, up to %q: %v, want %q", tt.name, may, err, tt.want)
			}
			if after := below(t, top); after != before {
				t.Errorf("%s, up to %q: there was\n%s\nand there is\n%s", tt.name, may, before, after)
			}
		}
	}
}

func TestDirectoriesAboveAnArchiveAreMadeOnlyIfTheyMayBe(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "deep", "down")
	_, err := Open(dir, "", SiteEmpty)
	if none, ok := errors.AsType[*NoArchiveError](err); !ok || none.Site != SiteRemote {
		t.Errorf("%v", err)
	}
	if entries, _ := os.ReadDir(top); len(entries) > 0 {
		t.Errorf("%v", entries)
	}
	if _, err := Open(dir, "", SiteRemote); err != nil {
		t.Error(err)
	}
}

// A search for bags in a directory of somebody else has an end.
func TestTheInspectionOfManyFilesEnds(t *testing.T) {
	dir := t.TempDir()
	for range maxInspected {
		f, err := os.CreateTemp(dir, "a")
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	plantBags(t, dir, testKey)
	if site, err := inspect(dir); site != SiteOccupied || err != nil {
		t.Errorf("%v, %v", site, err)
	}
}

// Whoever loses the race for the directory or for archive.json finds the same
// archive as who wins it.
func TestOneOfManyMakesTheArchive(t *testing.T) {
	for _, tt := range sites {
		if tt.want > SiteExports {
			continue
		}
		dir := filepath.Join(t.TempDir(), "archive")
		tt.prepare(t, dir)
		var all sync.WaitGroup
		opened := make([]*Archive, 8)
		for i := range opened {
			all.Go(func() {
				var err error
				if opened[i], err = Open(dir, "", tt.want); err != nil {
					t.Errorf("%s: %v", tt.name, err)
				}
			})
		}
		all.Wait()
		makers := 0
		for _, a := range opened {
			if a != nil && a.Made {
				makers++
			}
			if a != nil && opened[0] != nil && a.ID() != opened[0].ID() {
				t.Errorf("%s: %s and %s", tt.name, a.ID(), opened[0].ID())
			}
		}
		if makers != 1 {
			t.Errorf("%s: %d have made it", tt.name, makers)
		}
	}
}

func TestAnArchiveHasTheIDThatIsAskedFor(t *testing.T) {
	const id, other = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
	dir := filepath.Join(t.TempDir(), "archive")
	if _, err := Open(dir, id, SiteArchive); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if a, err := Open(dir, id, SiteAbsent); err != nil || a.ID() != id {
		t.Errorf("%v", err)
	}
	for _, may := range []Site{SiteArchive, SiteExports} {
		if _, err := Open(dir, other, may); !errors.Is(err, ErrOtherID) || !strings.Contains(err.Error(), id) {
			t.Errorf("%v", err)
		}
		if _, err := Open(dir, id, may); err != nil {
			t.Error(err)
		}
	}
}

// Whichever step of the making is the last, there is a whole archive or none
// afterwards, and the next run has one.
func TestTheMakingOfAnArchiveIsWholeOrAbsent(t *testing.T) {
	for _, tt := range sites {
		for at, ended := 1, tt.want > SiteExports; !ended; at++ {
			dir := filepath.Join(t.TempDir(), "archive")
			tt.prepare(t, dir)
			c := &crash{at: at, disk: powercut.New(t, dir)}
			_, err := openWith(dir, c.step)
			if ended = c.seen < at; ended && err != nil {
				t.Fatalf("%s, without a crash: %v", tt.name, err)
			}
			if _, err := OpenExisting(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s, after a crash at step %d: %v", tt.name, at, err)
			}
			if _, err := openWith(dir, nil); err != nil {
				t.Errorf("%s, in the run after a crash at step %d: %v", tt.name, at, err)
			}
		}
	}
}
