package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"tallyman/verify"
	"tallyman/verify/archive/internal/powercut"
)

var auditedNames = []string{"one", "two", "three"}

func keyOf(name string) string { return path.Join(path.Dir(testKey), name) }

// landNamed lands exports of those names, one after the other.
func landNamed(t testing.TB, a *Archive, names ...string) {
	t.Helper()
	for _, name := range names {
		in, err := a.Begin(t.Context(), "sls://"+name, keyOf(name))
		if err != nil {
			t.Fatal(err)
		}
		if err := receive(in, name+".csv", rows(len(name)*10)); err != nil {
			t.Fatal(err)
		}
		_, err = in.Commit(Summary{Reference: "sls://" + name, Records: verify.Unknown})
		if err := errors.Join(err, in.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

var someDate = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC`)

// audit returns what an Audit of the whole archive says, a line of each export that is
// not whole and of each break.
func audit(t testing.TB, a *Archive) (said []string) {
	t.Helper()
	u := a.Audit()
	report, err := u.CheckLedger()
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range report.Breaks {
		said = append(said, fmt.Sprintf("ledger %d-%d: %s", b.SeqBefore, b.SeqAfter, strings.SplitN(b.Why, ":", 2)[0]))
	}
	all := keys(t, a)
	for key, err := range a.Absent() {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, key)
	}
	for _, key := range all {
		err := u.Recheck(t.Context(), key, nil)
		if damage, ok := errors.AsType[*Damage](err); ok {
			said = append(said, someDate.ReplaceAllString(strings.ReplaceAll(damage.Error(), path.Dir(testKey)+"/", ""), "DATE"))
		} else if err != nil {
			said = append(said, path.Base(key)+" "+errors.Unwrap(err).Error())
		}
	}
	u.Close()
	if u.Unwritten != nil {
		t.Error(u.Unwritten)
	}
	return said
}

// editLedger changes the lines of the ledger.
func editLedger(change func(lines []string) []string) func(*testing.T, *Archive) {
	return func(t *testing.T, a *Archive) {
		months, _ := filepath.Glob(filepath.Join(a.dir, ledgerDir, "*.jsonl"))
		edit(t, months[0], func(b []byte) []byte {
			return []byte(strings.Join(change(slices.Collect(strings.Lines(string(b)))), ""))
		})
	}
}

func TestAnAuditSeesWhatIsGoneOrAnother(t *testing.T) {
	bag := func(a *Archive, name string) string { return a.Path(keyOf(name)) }
	for _, tt := range []struct {
		name   string
		damage func(*testing.T, *Archive)
		want   []string
	}{
		{"nothing", func(*testing.T, *Archive) {}, nil},
		{"a bag removed", func(t *testing.T, a *Archive) { os.RemoveAll(bag(a, "two")) }, []string{"two is absent: it landed on DATE, and is gone"}},
		{"all bags removed", func(t *testing.T, a *Archive) { os.RemoveAll(filepath.Join(a.dir, "sls")) }, []string{
			"one is absent: it landed on DATE, and is gone", "three is absent: it landed on DATE, and is gone", "two is absent: it landed on DATE, and is gone",
		}},
		{"a bag emptied", func(t *testing.T, a *Archive) {
			os.RemoveAll(bag(a, "two"))
			os.Mkdir(bag(a, "two"), 0o755)
		}, []string{"two is damaged: tagmanifest-sha256.txt is missing; manifest-sha256.txt is missing"}},
		{"an edit with all manifests made anew", func(t *testing.T, a *Archive) {
			edit(t, filepath.Join(bag(a, "two"), "data/two.csv"), flip)
			remakeManifests(t, bag(a, "two"))
		}, []string{"two is damaged: it is another bag than landed on DATE"}},
		{"a receipt edited likewise", func(t *testing.T, a *Archive) {
			edit(t, filepath.Join(bag(a, "two"), receiptFile), func(b []byte) []byte { return []byte(strings.Replace(string(b), `"bytes": 30`, `"bytes": 31`, 1)) })
			remakeManifests(t, bag(a, "two"))
		}, []string{"two is damaged: it is another bag than landed on DATE"}},
		{"a bag made one of an earlier version", func(t *testing.T, a *Archive) { makeEarlier(t, bag(a, "two")) },
			[]string{"two is damaged: it is another bag than landed on DATE"}},
		{"two bags swapped", func(t *testing.T, a *Archive) {
			os.Rename(bag(a, "one"), bag(a, "x"))
			os.Rename(bag(a, "two"), bag(a, "one"))
			os.Rename(bag(a, "x"), bag(a, "two"))
		}, []string{
			"one is damaged: the archive is damaged: one has the receipt of another export; it is another bag than landed on DATE",
			"two is damaged: the archive is damaged: two has the receipt of another export; it is another bag than landed on DATE",
		}},
		{"a line removed", editLedger(func(lines []string) []string { return slices.Delete(lines, 1, 2) }), []string{
			"ledger 1-3: lines are missing", "two is damaged: it has no line in the ledger that says that it landed",
		}},
		{"the first line removed", editLedger(func(lines []string) []string { return lines[1:] }), []string{
			"ledger 0-2: lines are missing", "one is damaged: it has no line in the ledger that says that it landed",
		}},
		{"a line changed", editLedger(func(lines []string) []string {
			lines[1] = strings.Replace(lines[1], `"bytes":30`, `"bytes":31`, 1)
			return lines
		}), []string{"ledger 2-3: it does not follow from the line before"}},
		{"the last line removed", editLedger(func(lines []string) []string { return lines[:2] }), []string{"three it landed after the last line of this ledger"}},
		{"the ledger removed", func(t *testing.T, a *Archive) { os.RemoveAll(filepath.Join(a.dir, ledgerDir)) }, []string{
			"one it landed after the last line of this ledger", "three it landed after the last line of this ledger", "two it landed after the last line of this ledger",
		}},
		{"a bag of another archive", func(t *testing.T, a *Archive) {
			other := mustOpen(t, t.TempDir())
			landNamed(t, other, "four")
			edit(t, filepath.Join(other.Path(keyOf("four")), receiptFile), func(b []byte) []byte {
				return regexp.MustCompile(`"landed": "....`).ReplaceAll(b, []byte(`"landed": "1999`))
			})
			remakeManifests(t, other.Path(keyOf("four")))
			os.CopyFS(bag(a, "four"), os.DirFS(other.Path(keyOf("four"))))
		}, []string{"four is damaged: it has no line in the ledger that says that it landed"}},
		{"a bag from before the ledger", func(t *testing.T, a *Archive) {
			os.RemoveAll(filepath.Join(a.dir, ledgerDir))
			for _, name := range auditedNames {
				makeEarlier(t, bag(a, name))
			}
		}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := mustReopen(t)
				for _, name := range auditedNames {
					landNamed(t, a, name)
					time.Sleep(time.Second)
				}
				tt.damage(t, a)
				got := audit(t, mustOpen(t, a.dir))
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Error(diff)
				}
				lines := ledgerText(a)
				if diff := cmp.Diff(got, audit(t, mustOpen(t, a.dir))); diff != "" {
					t.Errorf("a second time: %s", diff)
				}
				if diff := cmp.Diff(lines, ledgerText(a)); diff != "" {
					t.Errorf("what was found is written again: %s", diff)
				}
			})
		})
	}
}

func ledgerText(a *Archive) (text string) {
	months, _ := filepath.Glob(filepath.Join(a.dir, ledgerDir, "*.jsonl"))
	for _, month := range months {
		b, _ := os.ReadFile(month)
		text += string(b)
	}
	return text
}

func TestAMonthOfTheLedgerThatIsGoneIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := mustReopen(t)
		for _, name := range auditedNames {
			landNamed(t, a, name)
			time.Sleep(32 * 24 * time.Hour)
		}
		months, _ := filepath.Glob(filepath.Join(a.dir, ledgerDir, "*.jsonl"))
		if os.Remove(months[1]); len(months) != 3 {
			t.Fatalf("%q", months)
		}
		want := []string{"ledger 1-3: lines are missing", "two is damaged: it has no line in the ledger that says that it landed"}
		if diff := cmp.Diff(want, audit(t, mustOpen(t, a.dir))); diff != "" {
			t.Error(diff)
		}
	})
}

func TestExportsThatLandTogetherAreNewerInAnyOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := mustReopen(t)
		landNamed(t, a, auditedNames...)
		editLedger(func(lines []string) []string { return []string{lines[0]} })(t, a)
		want := []string{"three it landed after the last line of this ledger", "two it landed after the last line of this ledger"}
		if diff := cmp.Diff(want, audit(t, mustOpen(t, a.dir))); diff != "" {
			t.Error(diff)
		}
	})
}

func TestWhatIsBackIsHealed(t *testing.T) {
	a, bag := mustLand(t, t.TempDir(), threeObjects())
	aside := filepath.Join(t.TempDir(), "aside")
	content := filepath.Join(bag, "data/a.csv")
	for _, change := range []struct {
		make, undo func()
		kind       string
	}{
		{func() { os.Rename(bag, aside) }, func() { os.Rename(aside, bag) }, "absent"},
		{func() { edit(t, content, flip) }, func() { edit(t, content, flip) }, "damaged"},
	} {
		change.make()
		audit(t, a)
		_, err := a.Landed(testKey)
		if damage, ok := errors.AsType[*Damage](err); !ok || damage.Absent != (change.kind == "absent") || damage.Reference != testRef {
			t.Errorf("landed: %v", err)
		}
		change.undo()
		if _, err := a.Landed(testKey); !errors.Is(err, ErrDamaged) {
			t.Errorf("nobody has checked what is back, and it landed: %v", err)
		}
		if said := audit(t, a); len(said) > 0 {
			t.Errorf("%q", said)
		}
		if _, err := a.Landed(testKey); err != nil {
			t.Error(err)
		}
		lines := ledgerLines(t, a)
		if want := []string{change.kind + " download-123", "healed download-123"}; !slices.Equal(lines[len(lines)-2:], want) {
			t.Errorf("the ledger ends with %q, want %q", lines, want)
		}
	}
}

// Who may not write, or has no room, sees the same.
func TestWhatCantBeWrittenDownIsSeenAllTheSame(t *testing.T) {
	for _, why := range []error{syscall.EROFS, syscall.EACCES, syscall.ENOSPC} {
		a, bag := mustLand(t, t.TempDir(), threeObjects())
		os.RemoveAll(bag)
		a, err := openWith(a.dir, func(op, path string) error { return &fs.PathError{Op: op, Path: path, Err: why} })
		if err != nil && !errors.Is(err, why) {
			t.Fatal(err)
		}
		u := a.Audit()
		if err := u.Recheck(t.Context(), testKey, nil); !errors.Is(err, ErrDamaged) {
			t.Errorf("%v: %v", why, err)
		}
		u.Close()
		if !errors.Is(u.Unwritten, why) {
			t.Errorf("%v: it was written down: %v", why, u.Unwritten)
		}
	}
}

// Whatever a crash left, and whoever comes first, an audit is no false alarm.
func TestACrashIsNoDamage(t *testing.T) {
	for name, step := range map[string]func(op, path string) error{
		"a writer": nil, "a reader": func(op, path string) error { return &fs.PathError{Op: op, Path: path, Err: syscall.EROFS} },
	} {
		t.Run(name, func(t *testing.T) {
			atEachStep(t, false, func(t *testing.T, dir string, _ *powercut.Disk, landed bool) {
				a, err := openWith(dir, step)
				if err != nil && a.ledger == nil { // there is no archive yet
					return
				}
				u := a.Audit()
				defer u.Close()
				report, err := u.CheckLedger()
				if err != nil || len(report.Breaks) > 0 {
					t.Errorf("%v, %v", report.Breaks, err)
				}
				for _, key := range append(keys(t, a), testKey) {
					if err := u.Recheck(t.Context(), key, nil); err != nil && (landed || !errors.Is(err, fs.ErrNotExist)) {
						t.Error(err)
					}
				}
				checkWholeOrAbsent(t, dir, nil)
			})
		})
	}
}
