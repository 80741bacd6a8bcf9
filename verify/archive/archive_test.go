package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tallyman/verify/archive/internal/powercut"

	"github.com/google/go-cmp/cmp"
)

func TestAnArchiveHasOneID(t *testing.T) {
	for range 20 {
		dir := filepath.Join(t.TempDir(), "deep", "archive")
		ids := make([]string, 8)
		var all sync.WaitGroup
		for i := range ids {
			all.Go(func() {
				a, err := Open(dir, "", SiteOccupied)
				if err != nil {
					t.Error(err)
					return
				}
				ids[i] = a.ID()
			})
		}
		all.Wait()
		if slices.Sort(ids); len(ids[0]) != 32 || ids[0] != ids[len(ids)-1] {
			t.Fatalf("%q", ids)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, ingestDir, "*")); len(left) > 0 {
			t.Errorf("%q are left", left)
		}
	}
}

func TestAnArchiveHasOneIDAcrossProcesses(t *testing.T) {
	dir := t.TempDir()
	outs := make([]string, 4)
	var all sync.WaitGroup
	for i := range outs {
		all.Go(func() {
			out, err := inAnotherProcess(dir)
			if err != nil {
				t.Error(err)
			}
			outs[i] = out
		})
	}
	all.Wait()
	for _, out := range outs {
		if id := mustOpen(t, dir).ID(); !strings.HasPrefix(out, id+" ") {
			t.Errorf("%q, want %s", out, id)
		}
	}
}

func TestTwoArchivesHaveDifferentIDs(t *testing.T) {
	if a, b := mustOpen(t, t.TempDir()), mustOpen(t, t.TempDir()); a.ID() == b.ID() {
		t.Error(a.ID())
	}
}

func TestAnIDOutlivesAPowerCut(t *testing.T) {
	for _, name := range []string{"", "archive"} { // which is there, and which is not
		top, after := t.TempDir(), t.TempDir()
		p := powercut.New(t, top)
		a, err := openWith(filepath.Join(top, name), p.Step)
		if err != nil {
			t.Fatal(err)
		}
		p.Cut(after, powercut.LoseUnsynced)
		if b, err := OpenExisting(filepath.Join(after, name)); err != nil || b.ID() != a.ID() {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestNoFileStaysOpen(t *testing.T) {
	open := func() int {
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		return len(fds)
	}
	before := open()
	for at := range 100 {
		seen := 0
		a, err := openWith(t.TempDir(), func(string, string) error {
			if seen++; seen == at {
				return errCrash
			}
			return nil
		})
		if err != nil {
			continue
		}
		tryRecord(a)
		land(a, threeObjects())
		tryRecord(a)
		a.Recheck(t.Context(), testKey, nil)
		if in, err := a.Begin(context.Background(), testRef, testKey); err == nil {
			in.Close()
		}
	}
	after := open()
	for end := time.Now().Add(10 * time.Second); after > before && time.Now().Before(end); after = open() {
		runtime.GC() // which closes what an Archive has open for as long as it is used, such as the directory by which it syncs a file system
		time.Sleep(time.Millisecond)
	}
	if after > before {
		t.Errorf("%d files were open, %d are", before, after)
	}
}

func TestOpenExistingMakesNoArchive(t *testing.T) {
	dir := t.TempDir()
	if _, err := OpenExisting(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if made, _ := os.ReadDir(dir); len(made) > 0 {
		t.Errorf("%v", made)
	}
	a := mustOpen(t, dir)
	if b, err := OpenExisting(dir); err != nil || b.ID() != a.ID() {
		t.Errorf("%v", err)
	}
}

func TestAnArchiveWithoutItsIDIsDamaged(t *testing.T) {
	for _, text := range []string{"", "{}", "{", `{"id":""}`} {
		dir := mustOpen(t, t.TempDir()).dir
		rewrite(t, filepath.Join(dir, "archive.json"), []byte(text))
		_, open := Open(dir, "", SiteOccupied)
		_, existing := OpenExisting(dir)
		if !errors.Is(open, ErrDamaged) || !errors.Is(existing, ErrDamaged) {
			t.Errorf("%q: %v, %v", text, open, existing)
		}
	}
}

func TestAFileIsNotAnArchive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	rewrite(t, path, nil)
	for _, dir := range []string{path, filepath.Join(path, "archive")} {
		if _, err := Open(dir, "", SiteOccupied); !errors.Is(err, syscall.ENOTDIR) {
			t.Errorf("open %s: %v, want %v", dir, err, syscall.ENOTDIR)
		}
	}
}

// plantBags lands one export and copies it under other names.
func plantBags(t *testing.T, dir string, names ...string) {
	t.Helper()
	_, bag := mustLand(t, t.TempDir(), export{"bagit.txt": "not a bag", "deep/bagit.txt": "nor this"})
	for _, name := range names {
		if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(bag)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAllListsLandedExportsInOrder(t *testing.T) {
	want := []string{"dms/r/order/key", "https/host/bagit.txt", "https/host/z", "sls/r/p/a", "sls/r/p/b", "sls/r/p-q/a"}
	dir := t.TempDir()
	a := mustOpen(t, dir)
	plantBags(t, dir, append(want, ".ingest/HASH/bag")...)
	os.MkdirAll(filepath.Join(dir, "sls/r/empty"), 0o755)
	rewrite(t, filepath.Join(dir, "sls/README"), []byte("a person's"))
	if diff := cmp.Diff(want, keys(t, a)); diff != "" {
		t.Error(diff)
	}
	for n := range want {
		got := 0
		for range a.All() {
			if got++; got > n {
				break
			}
		}
	}
}

func TestAllListsDamagedExports(t *testing.T) {
	for _, name := range tagFiles {
		a, bag := mustLand(t, t.TempDir(), threeObjects())
		if err := os.Remove(filepath.Join(bag, name)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{testKey}, keys(t, a)); diff != "" {
			t.Errorf("without %s: %s", name, diff)
		}
	}
}

func TestAnArchiveMayBeASymlink(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(t.TempDir(), dir); err != nil {
		t.Fatal(err)
	}
	a, _ := mustLand(t, dir+"/", threeObjects())
	mustHaveLanded(t, a, threeObjects())
}

func TestAnArchiveMayHaveARelativePath(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, dir := range []string{".", "./archive/", "archive/../other"} {
		a, _ := mustLand(t, dir, threeObjects())
		mustHaveLanded(t, a, threeObjects())
		if err := os.RemoveAll(filepath.Join(dir, "sls")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAllEndsWithItsError(t *testing.T) {
	a := mustOpen(t, filepath.Join(t.TempDir(), "archive"))
	os.RemoveAll(a.dir)
	n := 0
	for key, err := range a.All() {
		if n++; key != "" || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q, %v", key, err)
		}
	}
	if n != 1 {
		t.Errorf("%d yields", n)
	}
}

func TestLandedClearsUpAfterACommitThatWasCutShort(t *testing.T) {
	a, _ := mustLand(t, t.TempDir(), threeObjects())
	left := filepath.Join(a.dir, ingestDir, testHash)
	for _, name := range []string{"", "lock", "parts/x.wire", "bag/data/x", "state.json.new", "objects.jsonl"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(left, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if name != "" {
			rewrite(t, filepath.Join(left, name), []byte("x"))
		} else if err := os.MkdirAll(left, 0o755); err != nil {
			t.Fatal(err)
		}
		if r, err := a.Landed(testKey); err != nil || r.Key != testKey {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := os.Lstat(left); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", name, err)
		}
		mustHaveLanded(t, a, threeObjects())
	}
}

func TestBeginCleansTheBag(t *testing.T) {
	a, e := fourObjects(t)
	bag := filepath.Join(a.dir, ingestDir, testHash, "bag")
	for _, name := range []string{"data/b/x", "data/new/deep/x", receiptFile, "x"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(bag, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		rewrite(t, filepath.Join(bag, name), nil)
	}
	os.Symlink("/etc", filepath.Join(bag, "data/link"))
	mustBegin(t, a).Close()
	var left []string
	fs.WalkDir(os.DirFS(bag), ".", func(path string, d fs.DirEntry, err error) error {
		left = append(left, path)
		return err
	})
	if got := fmt.Sprint(left); got != "[. data data/a.csv data/b data/b/b.csv data/b/c.csv]" {
		t.Error(got)
	}
	mustLandAll(t, a, e)
}

func TestAHiddenTextIsKeptAsAShortHashOfThisArchiveAlone(t *testing.T) {
	a, b := mustOpen(t, t.TempDir()), mustOpen(t, t.TempDir())
	hash := a.HashHidden("token=secret")
	if len(hash) != 8 || hash != a.HashHidden("token=secret") || hash == a.HashHidden("token=other") || hash == b.HashHidden("token=secret") {
		t.Errorf("%q, in another archive %q", hash, b.HashHidden("token=secret"))
	}
	if hash := a.HashHidden(""); hash != "" {
		t.Errorf("%q of nothing", hash)
	}
}
