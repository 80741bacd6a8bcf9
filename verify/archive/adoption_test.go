package archive

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"tallyman/verify/archive/internal/powercut"
	"tallyman/verify/archive/ledger"
)

// plantEarlier puts bags into an archive as versions without a ledger left them, but
// without content.
func plantEarlier(t testing.TB, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		key := path.Join(path.Dir(testKey), name)
		bag := filepath.Join(dir, key)
		if err := os.MkdirAll(bag, 0o755); err != nil {
			t.Fatal(err)
		}
		rewrite(t, filepath.Join(bag, receiptFile), fmt.Appendf(nil, `{"schema":"tallyman.receipt/v1","reference":"sls://%s","key":%q,"landed":"2025-01-02T03:04:05Z","bytes":7,"records":2,"answer":{"name":%q}}`, name, key, name))
		rewrite(t, filepath.Join(bag, tagManifest), []byte(name))
	}
}

// makeEarlier changes a bag that landed to what a version without a ledger would have
// made of it.
func makeEarlier(t testing.TB, bag string) {
	t.Helper()
	edit(t, filepath.Join(bag, receiptFile), func(b []byte) []byte {
		return regexp.MustCompile(`(?m)^  "ledger": .*\n`).ReplaceAll(b, nil)
	})
	remakeManifests(t, bag)
}

// remakeManifests makes the manifests of a bag anew, so that they list what is there.
func remakeManifests(t testing.TB, bag string) {
	t.Helper()
	for _, name := range []string{manifest, tagManifest} {
		edit(t, filepath.Join(bag, name), func(b []byte) []byte {
			var lines []string
			for line := range strings.Lines(string(b)) {
				_, file, _ := strings.Cut(strings.TrimSpace(line), "  ")
				_, sum, err := hashFile(t.Context(), strings.NewReader(mustRead(t, filepath.Join(bag, file))))
				if err != nil {
					t.Fatal(err)
				}
				lines = append(lines, sum+"  "+file+"\n")
			}
			return []byte(strings.Join(lines, ""))
		})
	}
}

func mustRead(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// ledgerLines are the kinds and the last elements of the keys of all lines.
func ledgerLines(t testing.TB, a *Archive) (lines []string) {
	t.Helper()
	for line, err := range a.ledger.All() {
		if err != nil {
			t.Fatal(err)
		}
		text := string(line.Kind)
		if line.Through {
			text += " through"
		}
		if line.Key != "" {
			text += " " + path.Base(line.Key)
		}
		lines = append(lines, text)
	}
	return lines
}

func TestWhatLandedBeforeTheLedgerIsAdoptedOnce(t *testing.T) {
	a, _ := mustLand(t, t.TempDir(), threeObjects())
	if adopted, err := a.IsAdopted(); !adopted || err != nil {
		t.Errorf("before anything landed that is to be adopted: %v, %v", adopted, err)
	}
	plantEarlier(t, a.dir, "a", "b")
	window := &ledger.Window{Group: "access *", From: 1, To: 2}
	a.WindowOf = func(reference string, answer func() any) *ledger.Window {
		if _, isAnswer := answer().(map[string]any); reference != "sls://b" || !isAnswer {
			return nil
		}
		return window
	}
	for range 2 {
		if err := a.Adopt(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := []string{"adopted through", "landed download-123", "adopted a", "adopted b"}
		if diff := cmp.Diff(want, ledgerLines(t, a)); diff != "" {
			t.Fatal(diff)
		}
	}
	line, err := a.presence(path.Join(path.Dir(testKey), "b"))
	bag, _ := hashTagManifest(a.Path(line.Key))
	receipt, _ := readReceipt(a.Path(line.Key))
	if err != nil || line.Bag != bag || line.Ref != "sls://b" || line.Bytes != 7 || line.Records != 2 || !line.LandedAt.Equal(receipt.Landed) || line.LandedAt.IsZero() {
		t.Errorf("%+v, %v", line, err)
	}
	if diff := cmp.Diff(window, line.Window); diff != "" {
		t.Errorf("the window by the answer in the receipt: %s", diff)
	}

	plantEarlier(t, a.dir, "c") // by an older worker
	if err := a.Adopt(t.Context()); err != nil {
		t.Fatal(err)
	}
	if lines := ledgerLines(t, a); len(lines) != 5 || lines[4] != "adopted c" {
		t.Errorf("%q", lines)
	}
}

func TestAdoptionHidesNoDamage(t *testing.T) {
	a, bag := mustLand(t, t.TempDir(), threeObjects())
	os.RemoveAll(filepath.Join(a.dir, ledgerDir)) // so the line of what landed is lost
	plantEarlier(t, a.dir, "unreadable", "another")
	parent := filepath.Dir(bag)
	rewrite(t, filepath.Join(parent, "unreadable", receiptFile), []byte("{"))
	os.Rename(filepath.Join(parent, "another"), filepath.Join(parent, "moved"))
	plantEarlier(t, a.dir, "no-manifest")
	os.Remove(filepath.Join(parent, "no-manifest", tagManifest))
	if err := a.Adopt(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"adopted through"}, ledgerLines(t, a)); diff != "" {
		t.Error(diff)
	}
}

func TestAnAdoptionThatIsKilledIsGoneOnWith(t *testing.T) {
	names, dir := []string{"a", "b", "c", "d", "e", "f", "g"}, t.TempDir()
	mustOpen(t, dir)
	plantEarlier(t, dir, names...)
	for at, ended := 1, false; !ended; at++ {
		c := &crash{at: at, disk: powercut.New(t, t.TempDir())}
		a, err := openWith(dir, c.step)
		a.adoptAtOnce = 3
		if err == nil {
			err = a.Adopt(t.Context())
		}
		if ended = c.seen < at; ended && err != nil || at > 100 {
			t.Fatal(err)
		}
	}
	a := mustOpen(t, dir)
	lines := ledgerLines(t, a)
	seen := map[string]int{}
	for i, line := range lines {
		if seen[line]++; seen[line] > 1 {
			t.Errorf("%s is there twice", line)
		}
		if through := line == "adopted through"; through != (i == len(lines)-1) {
			t.Errorf("line %d of %d is %q", i, len(lines), line)
		}
	}
	if len(seen) != len(names)+1 {
		t.Errorf("%d lines of %d exports", len(seen), len(names))
	}
	if adopted, err := a.IsAdopted(); !adopted || err != nil {
		t.Errorf("%v, %v", adopted, err)
	}
}

func TestAdoptionEndsWithItsContext(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	plantEarlier(t, a.dir, "a")
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := a.Adopt(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if lines := ledgerLines(t, a); len(lines) > 0 {
		t.Errorf("%q", lines)
	}
	if adopted, err := a.IsAdopted(); adopted || err != nil {
		t.Errorf("%v, %v", adopted, err)
	}
}

func TestAPersonAdoptsWhatIsWholeAndNothingElse(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, a *Archive)
		want   []string // what is left
		last   string   // of the ledger
	}{
		{"a bag that is as it landed", func(*testing.T, *Archive) {}, nil, "landed three"},
		{"a line that is lost", editLedger(func(lines []string) []string { return lines[:2] }), nil, "adopted three"},
		{"a line that was removed", editLedger(func(lines []string) []string { return slices.Delete(lines, 1, 2) }), nil, "adopted two"},
		{"a bag that is another", func(t *testing.T, a *Archive) {
			edit(t, filepath.Join(a.Path(keyOf("two")), "data/two.csv"), flip)
			remakeManifests(t, a.Path(keyOf("two")))
		}, nil, "adopted two"},
		{"a bag that was seen to be another", func(t *testing.T, a *Archive) {
			edit(t, filepath.Join(a.Path(keyOf("two")), "data/two.csv"), flip)
			remakeManifests(t, a.Path(keyOf("two")))
			audit(t, a)
		}, nil, "restored two"},
		{"a bag that is damaged", func(t *testing.T, a *Archive) { edit(t, filepath.Join(a.Path(keyOf("two")), "data/two.csv"), flip) },
			[]string{"two is damaged: data/two.csv has other bytes than when it landed"}, "damaged two"},
		{"a bag that is gone", func(t *testing.T, a *Archive) { os.RemoveAll(a.Path(keyOf("two"))) },
			[]string{"two is absent: it landed on DATE, and is gone"}, "absent two"},
		{"the bag of another export", func(t *testing.T, a *Archive) { os.Rename(a.Path(keyOf("two")), a.Path(keyOf("four"))) }, []string{
			"four is damaged: the archive is damaged: four has the receipt of another export; it has no line in the ledger that says that it landed",
			"two is absent: it landed on DATE, and is gone",
		}, "absent two"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := mustReopen(t)
				for _, name := range auditedNames {
					landNamed(t, a, name)
					time.Sleep(time.Second)
				}
				tt.change(t, a)
				a = mustOpen(t, a.dir)
				u := a.Audit()
				report, err := u.CheckLedger()
				if err == nil {
					err = u.AdoptBreaks(report.Breaks, "it was me")
				}
				if err != nil {
					t.Fatal(err)
				}
				for _, key := range append(keys(t, a), keyOf("two")) {
					_, _ = u.Adopt(t.Context(), key, "it was me", nil)
				}
				if diff := cmp.Diff(tt.want, audit(t, mustOpen(t, a.dir))); diff != "" {
					t.Error(diff)
				}
				if lines := ledgerLines(t, a); lines[len(lines)-1] != tt.last {
					t.Errorf("the ledger ends with %q", lines)
				}
			})
		})
	}
}
