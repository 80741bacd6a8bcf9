package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

// latest folds what All yields.
func latest(t testing.TB, l *Ledger) map[string]Latest {
	t.Helper()
	all := map[string]Latest{}
	for _, line := range mustRead(t, l) {
		is, known := classes[line.Kind]
		if !known || line.Key == "" {
			continue
		}
		of := all[line.Key]
		if is.presence {
			of.Presence = &line
		}
		if is.phase {
			of.Phase = &line
		}
		all[line.Key] = of
	}
	return all
}

// mustMade are the last lines of jobs that were made, as All yields them.
func mustMade(t testing.TB, l *Ledger) map[string]Line {
	made := map[string]Line{}
	for _, line := range mustRead(t, l) {
		if line.Kind == Created {
			made[line.Key] = line
		}
	}
	return made
}

// mustIndexAll checks that the index of a ledger, and a new one, say what All says.
func mustIndexAll(t testing.TB, l *Ledger) {
	t.Helper()
	want := latest(t, l)
	for name, l := range map[string]*Ledger{"refreshed": l, "new": Open(l.dir, genesis, nil)} {
		x, err := l.Index()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := map[string]Latest{}
		keys, err := x.Keys()
		if err != nil || !slices.IsSorted(keys) {
			t.Fatalf("%s: keys %q, %v", name, keys, err)
		}
		for _, key := range keys {
			got[key] = Latest{}
		}
		for key := range got {
			if got[key], err = x.Lookup(key); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s: %s", name, diff)
		}
		for key, line := range mustMade(t, l) {
			made, err := x.Made(key)
			if diff := cmp.Diff(&line, made); err != nil || diff != "" {
				t.Fatalf("%s: made %s: %v %s", name, key, err, diff)
			}
		}
		if made, err := x.Made("nobody"); made != nil || err != nil {
			t.Fatalf("%s: made nobody: %v, %v", name, made, err)
		}
		unlanded, err := x.Unlanded()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for key, of := range want {
			isOne := slices.Contains(unlanded, key)
			if isPhase := of.Phase != nil && !of.Phase.Kind.IsPresence(); isPhase && !isOne || of.Phase != nil && of.Phase == of.Presence && isOne {
				t.Errorf("%s: %s is among those that have not landed: %v", name, key, isOne)
			}
		}
		if of, err := x.Lookup("no such key"); of != (Latest{}) || err != nil {
			t.Errorf("%s: %v, %v", name, of, err)
		}
	}
}

// mustFindAll checks that Find says what All says, backwards.
func mustFindAll(t testing.TB, l *Ledger) {
	t.Helper()
	want := map[string][]Line{}
	for _, line := range mustRead(t, l) {
		want[line.Key] = append(want[line.Key], line)
	}
	delete(want, "")
	for key := range want {
		var got []Line
		for line, err := range l.Find(key) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, line)
		}
		slices.Reverse(got)
		if diff := cmp.Diff(want[key], got); diff != "" {
			t.Fatalf("%s: %s", key, diff)
		}
	}
}

// The last line of a kind is found by its reference, in side files too, and no other.
func TestTheLastLineOfAKindIsFoundByItsReference(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger(t)
		other := Open(l.dir, genesis, nil)
		listed := func(ref string, found int64) Line { return Line{Kind: Listed, Ref: ref, Found: found} }
		mustAppend(t, l, listed("sls://r/a/", 1), listed("sls://r/b/", 2), landed(1), listed("sls://r/a/", 3), Line{Kind: Accepted, Ref: "sls://r/b/"})
		for ref, found := range map[string]int64{"sls://r/a/": 3, "sls://r/b/": 2} {
			if last, err := l.Last(Listed, ref); err != nil || last == nil || last.Found != found {
				t.Errorf("%s: %+v, %v", ref, last, err)
			}
		}
		if last, err := l.Last(Listed, "sls://r/"); last != nil || err != nil {
			t.Errorf("a place that was not listed: %+v, %v", last, err)
		}
		defer hold(t, l)()
		mustAppend(t, other, listed("sls://r/b/", 4))
		if last, err := l.Last(Listed, "sls://r/b/"); err != nil || last == nil || last.Found != 4 {
			t.Errorf("in a side file: %+v, %v", last, err)
		}
	})
}

// mustKnow checks that Latest says what All says, of a few keys and of many.
func mustKnow(t testing.TB, l *Ledger) {
	t.Helper()
	want := latest(t, l)
	keys := append(slices.Sorted(maps.Keys(want)), "no such key")
	for name, l := range map[string]*Ledger{"again": l, "new": Open(l.dir, genesis, nil)} {
		for _, key := range keys {
			got, err := l.Latest(key)
			if diff := cmp.Diff(want[key], got); diff != "" || err != nil {
				t.Fatalf("%s: %s: %v %s", name, key, err, diff)
			}
		}
	}
}

func TestIndexFindAndLatestSayWhatTheLinesSay(t *testing.T) {
	if testing.Short() {
		t.Skip("one line after another")
	}
	synctest.Test(t, func(t *testing.T) { // frozen holders cost no time
		l := newLedger(t)
		other := Open(l.dir, genesis, nil)
		r := rand.New(rand.NewPCG(1, 2))
		mustIndexAll(t, l)
		for n := range 200 {
			line := landed(r.IntN(20))
			line.Kind = append(kinds, "later")[r.IntN(len(kinds)+1)]
			line.Message = fmt.Sprintf(`"key":"%s"`, landed(r.IntN(20)).Key)
			switch r.IntN(8) {
			case 0:
				line.Key = `a "quoted" \ kéy<&>`
			case 1:
				line.Key = ""
			case 2:
				line.Ref = `a "quoted" \ ref`
			}
			if n > 0 && r.IntN(40) == 0 {
				release := hold(t, l)
				mustAppend(t, other, line, line)
				mustIndexAll(t, l)
				mustKnow(t, l)
				release()
			}
			mustAppend(t, other, line)
			if r.IntN(8) == 0 {
				mustIndexAll(t, l)
				mustFindAll(t, l)
				mustKnow(t, l)
			}
		}
		mustIndexAll(t, l)
	})
}

// An index is made anew, and a key searched for anew, if what was read is not there any
// more.
func TestIndexAndLatestAreOfTheFilesThatAreThere(t *testing.T) {
	w := chained(t, 6)
	l := write(t, map[string][]byte{"2026-11.jsonl": join(w[:3]...), "2026-12.jsonl": join(w[3:5]...)})
	mustIndexAll(t, l)
	mustKnow(t, l)
	for _, step := range []struct {
		name   string
		change func() error
	}{
		{"appended", func() error { return os.WriteFile(l.path("2026-12.jsonl"), join(w[3:]...), 0o644) }},
		{"cut", func() error { return os.WriteFile(l.path("2026-12.jsonl"), join(w[3:4]...), 0o644) }},
		{"another file", func() error {
			other := write(t, map[string][]byte{"2026-12.jsonl": join(w[3:5]...)})
			return os.Rename(other.path("2026-12.jsonl"), l.path("2026-12.jsonl"))
		}},
		{"fewer files", func() error { return os.Remove(l.path("2026-12.jsonl")) }},
		{"none", func() error { return os.RemoveAll(l.dir) }},
	} {
		t.Log(step.name)
		if err := step.change(); err != nil {
			t.Fatal(err)
		}
		mustIndexAll(t, l)
		mustKnow(t, l)
	}
}

// The keys are read from the lines, which may be overwritten once they were indexed.
func TestAKeyWhoseLineIsGoneIsNotLeftOutSilently(t *testing.T) {
	w := chained(t, 3)
	l := write(t, map[string][]byte{"2026-12.jsonl": join(w...)})
	x, err := l.Index()
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(l.path("2026-12.jsonl"), os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteAt(bytes.Repeat([]byte{'x'}, len(w[0])-1), int64(len(w[0])))
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	if keys, err := x.Keys(); err == nil || !strings.Contains(err.Error(), "the last lines of 1 exports are not there any more") {
		t.Errorf("got %q, %v", keys, err)
	}
}
