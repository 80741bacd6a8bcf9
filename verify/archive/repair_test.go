package archive

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"tallyman/verify"
	"tallyman/verify/archive/ledger"
)

// repair makes one attempt to receive an export in place of the one that landed.
func repair(a *Archive, e export) (*Receipt, error) {
	if r, err := a.Repaired(testKey); err == nil {
		return r, nil
	}
	in, err := a.Begin(context.Background(), testRef, RepairKey(testKey))
	if errors.Is(err, ErrLanded) {
		return a.Repaired(testKey)
	}
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return commitAll(in, e)
}

// rot changes a byte of the bag, and has an audit see it.
func rot(t testing.TB, a *Archive) {
	t.Helper()
	flipIn(t, filepath.Join(a.Path(testKey), dataDir, "a.csv"))
	mustBeDamaged(t, a)
}

func flipIn(t testing.TB, file string) {
	t.Helper()
	edit(t, file, func(b []byte) []byte { b[0] ^= 1; return b })
}

func mustBeDamaged(t testing.TB, a *Archive) {
	t.Helper()
	u := a.Audit()
	defer u.Close()
	if err := u.Recheck(t.Context(), testKey, nil); !errors.Is(err, ErrDamaged) {
		t.Fatalf("it is not damaged: %v", err)
	}
}

// aside returns what was put aside, by path.
func aside(t testing.TB, a *Archive) []string {
	t.Helper()
	paths, _ := filepath.Glob(filepath.Join(a.dir, damagedDir, testKey+"@*"))
	if n, err := a.Replaced(); n != len(paths) || err != nil {
		t.Errorf("%d are said to be aside, %v, and %q are", n, err, paths)
	}
	return paths
}

// Whatever happened to a bag, the same export takes its place, the bag is kept aside, and
// another export is refused.
func TestADamagedExportIsReplacedByTheSame(t *testing.T) {
	other := threeObjects()
	other["a.csv"] = strings.ToUpper(other["a.csv"]) // as many bytes
	shorter := threeObjects()
	shorter["a.csv"] = rows(90)
	more := threeObjects()
	more["new.csv"] = rows(10)
	fewer := threeObjects()
	delete(fewer, "empty")
	remake := func(t *testing.T, bag string) {
		cmd := exec.Command("sh", "-c", "find data -type f | sort | xargs sha256sum > m && mv -f m manifest-sha256.txt && sha256sum bag-info.txt bagit.txt manifest-sha256.txt receipt.json > m && mv -f m tagmanifest-sha256.txt")
		cmd.Dir = bag
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	remove := func(name string) func(*testing.T, string) {
		return func(t *testing.T, bag string) {
			if err := os.RemoveAll(filepath.Join(bag, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	move := func(t *testing.T, bag string) {
		if err := os.Rename(bag, bag+".elsewhere"); err != nil {
			t.Fatal(err)
		}
	}
	all := []export{other, shorter, more, fewer}
	for name, tt := range map[string]struct {
		damage  func(t *testing.T, bag string)
		refused []export // with the same damage
		kept    int      // aside
	}{
		"a file is cut short": {func(t *testing.T, bag string) {
			edit(t, filepath.Join(bag, dataDir, "a.csv"), func(b []byte) []byte { return b[:1] })
		}, all, 1},
		"a file is gone":        {remove("data/a.csv"), all, 1},
		"the receipt is gone":   {remove(receiptFile), all, 1},
		"the manifest is gone":  {remove(manifest), all, 1},
		"its manifest is gone":  {remove(tagManifest), all, 1},
		"a stranger is in it":   {func(t *testing.T, bag string) { rewrite(t, filepath.Join(bag, dataDir, "stranger"), nil) }, all, 1},
		"all of it is gone":     {remove(""), []export{shorter, more}, 0},
		"its files are gone":    {func(t *testing.T, bag string) { remove("")(t, bag); os.Mkdir(bag, 0o755) }, []export{shorter, more}, 1},
		"an edit, well covered": {func(t *testing.T, bag string) { flipIn(t, filepath.Join(bag, dataDir, "a.csv")); remake(t, bag) }, []export{shorter, more}, 1},
		"a file is in its place": {func(t *testing.T, bag string) {
			move(t, bag)
			rewrite(t, bag, nil)
		}, []export{shorter, more}, 1},
		"a link to nowhere is in its place": {func(t *testing.T, bag string) {
			move(t, bag)
			if err := os.Symlink("nowhere", bag); err != nil {
				t.Fatal(err)
			}
		}, []export{shorter, more}, 1},
		"a link to an edited bag is in its place": {func(t *testing.T, bag string) {
			move(t, bag)
			flipIn(t, filepath.Join(bag+".elsewhere", dataDir, "a.csv"))
			if err := os.Symlink(bag+".elsewhere", bag); err != nil {
				t.Fatal(err)
			}
		}, all, 1},
	} {
		t.Run(name, func(t *testing.T) {
			a, bag := mustLand(t, t.TempDir(), threeObjects())
			tt.damage(t, bag)
			mustBeDamaged(t, a)
			for i, e := range tt.refused {
				if _, err := repair(a, e); !errors.Is(err, ErrNotRepaired) {
					t.Fatalf("of the %d. export that it was not: %v", i, err)
				}
				if kept := aside(t, a); len(kept) > 0 {
					t.Fatalf("%q are aside", kept)
				}
				mustBeDamaged(t, a)
			}
			r, err := repair(a, threeObjects())
			if err != nil || r.Key != testKey || r.Reference != testRef {
				t.Fatalf("%+v, %v", r, err)
			}
			if kept := aside(t, a); len(kept) != tt.kept {
				t.Errorf("%q are aside", kept)
			}
			os.RemoveAll(bag + ".elsewhere")
			mustHaveLanded(t, a, threeObjects())
			if line, err := a.presence(testKey); err != nil || line.Kind != ledger.Restored || line.Reason != "fetched anew" || line.Bytes != r.Bytes {
				t.Errorf("%+v, %v", line, err)
			}
			if left, _ := filepath.Glob(filepath.Join(a.dir, ingestDir, "*")); len(left) > 0 {
				t.Errorf("%q are left", left)
			}
			if _, err := a.Landed(testKey); err != nil {
				t.Error(err)
			}
		})
	}
}

// What is whole by the ledger, or has never landed, is not received.
func TestOnlyWhatIsDamagedIsReplaced(t *testing.T) {
	a, _ := mustLand(t, t.TempDir(), threeObjects())
	if _, err := a.Begin(t.Context(), testRef, RepairKey(testKey)); !errors.Is(err, ErrLanded) {
		t.Errorf("of one that is whole: %v", err)
	}
	if _, err := a.Begin(t.Context(), testRef, RepairKey("sls/never")); !errors.Is(err, errNothingLanded) {
		t.Errorf("of one that never landed: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(a.dir, ingestDir, "*")); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
}

// While one process replaces an export, no other does, and a recheck says that it is busy
// and writes nothing down; nor does one that looked before and writes later.
func TestARepairIsLocked(t *testing.T) {
	a, _ := mustLand(t, t.TempDir(), threeObjects())
	rot(t, a)
	other := mustOpen(t, a.dir)
	before := other.Audit()
	if err := os.Rename(a.Path(testKey), a.Path(testKey)+".elsewhere"); err != nil {
		t.Fatal(err)
	}
	if err := before.Recheck(t.Context(), testKey, nil); !errors.Is(err, ErrDamaged) {
		t.Fatal(err)
	}
	if err := os.Rename(a.Path(testKey)+".elsewhere", a.Path(testKey)); err != nil {
		t.Fatal(err)
	}
	in, err := a.Begin(t.Context(), testRef, RepairKey(testKey))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Begin(t.Context(), testRef, RepairKey(testKey)); !errors.Is(err, ErrBusy) {
		t.Errorf("another repair: %v", err)
	}
	if err := other.Recheck(t.Context(), testKey, nil); !errors.Is(err, ErrBusy) {
		t.Errorf("a recheck: %v", err)
	}
	in.Close()
	mustBeDamaged(t, other)
	if _, err := repair(a, threeObjects()); err != nil {
		t.Fatal(err)
	}
	before.Close()
	mustHaveLanded(t, other, threeObjects())
	if line, err := other.presence(testKey); err != nil || line.Kind != ledger.Restored || before.Unwritten != nil {
		t.Errorf("%+v, %v, %v", line, err, before.Unwritten)
	}
}

// An attempt that does not see the locks may bring an absent export back meanwhile.
func TestARepairReplacesOnlyWhatItSaw(t *testing.T) {
	a, bag := mustLand(t, t.TempDir(), threeObjects())
	if err := os.Rename(bag, bag+".elsewhere"); err != nil {
		t.Fatal(err)
	}
	in, err := a.Begin(t.Context(), testRef, RepairKey(testKey))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := os.Rename(bag+".elsewhere", bag); err != nil {
		t.Fatal(err)
	}
	for name, body := range threeObjects() {
		if err := receive(in, name, body); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := in.Commit(Summary{Reference: testRef, Records: verify.Unknown}); !errors.Is(err, ErrLanded) {
		t.Errorf("%v", err)
	}
	if kept := aside(t, a); len(kept) > 0 {
		t.Errorf("%q are aside", kept)
	}
}

// What is aside is no export: nothing lists it, or finds the archive by it.
func TestWhatIsAsideIsNoExport(t *testing.T) {
	a, _ := mustLand(t, t.TempDir(), threeObjects())
	for range 2 { // in one second
		rot(t, a)
		if _, err := repair(a, threeObjects()); err != nil {
			t.Fatal(err)
		}
	}
	if kept := aside(t, a); len(kept) != 2 {
		t.Errorf("%q are aside", kept)
	}
	mustHaveLanded(t, a, threeObjects())
	for bag, err := range Bags(a.dir) {
		if bag != a.Path(testKey) || err != nil {
			t.Errorf("%s, %v", bag, err)
		}
	}
	if err := os.RemoveAll(a.Path("sls")); err != nil {
		t.Fatal(err)
	}
	if holdsBag(a.dir) {
		t.Error("a bag is found")
	}
	if err := os.RemoveAll(filepath.Join(a.dir, damagedDir)); err != nil {
		t.Fatal(err)
	}
	if n, err := a.Replaced(); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

// More objects than a receipt lists are compared, too, and known by name.
func TestAnExportOfManyObjectsIsReplacedByTheSame(t *testing.T) {
	many := export{}
	for i := range maxListed + 1 {
		many[fmt.Sprintf("%03d.csv", i)] = rows(10 + i)
	}
	a, bag := mustLand(t, t.TempDir(), many)
	flipIn(t, filepath.Join(bag, dataDir, "007.csv"))
	mustBeDamaged(t, a)
	in, err := a.Begin(t.Context(), testRef, RepairKey(testKey))
	if err != nil {
		t.Fatal(err)
	}
	if !in.Had("100.csv") || in.Had("101.csv") {
		t.Error("it is not known which objects it had")
	}
	in.Close()
	if _, err := repair(a, threeObjects()); !errors.Is(err, ErrNotRepaired) {
		t.Errorf("of another export: %v", err)
	}
	if _, err := repair(a, many); err != nil {
		t.Error(err)
	}
	mustHaveLanded(t, a, many)
}
