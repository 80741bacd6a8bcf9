package fetch_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tallyman/fetch"
	"tallyman/verify"
)

// halfDone makes an attempt that ends at the item that is named, when all
// before it are received, and none behind it is.
func halfDone(t *testing.T, f *fetch.Fetcher, s *shelf, at string) {
	t.Helper()
	f.Parallel = 1
	broken := errors.New("broken by a test")
	from := slices.IndexFunc(s.items, func(i *item) bool { return i.name == at })
	for _, i := range s.items[from:] {
		i.hinder = func(context.Context, int64) error { return broken }
		defer func() { i.hinder = nil }()
	}
	if _, err := fetchShelf(t, f); !errors.Is(err, broken) {
		t.Fatal(err)
	}
}

func contents(items []*item) map[string]string {
	want := map[string]string{}
	for _, i := range items {
		want[i.name] = string(i.body)
	}
	return want
}

func TestObjectsThatCameAfterTheFirstAttemptAreLeftOut(t *testing.T) {
	s := newShelf(fiveObjects()...)
	f := shelved(t, s)
	halfDone(t, f, s, "2.csv")
	first := s.items
	s.items = append([]*item{object("00.csv", rows), object("2.csv.gz", rows)}, s.items...)
	s.items = append(s.items, object("z/late.csv", rows))
	receipt := mustFetch(t, f)
	checkFiles(t, f, contents(first))
	if len(receipt.Objects) != 5 {
		t.Errorf("%d objects", len(receipt.Objects))
	}
}

// Whether one object or several were there decides how they are named.
func TestOnlyObjectStaysTheOnlyOne(t *testing.T) {
	s := newShelf(object("a.csv", rows))
	f := shelved(t, s)
	halfDone(t, f, s, "a.csv")
	s.items = append(s.items, object("b.csv", rows))
	mustFetch(t, f)
	checkFiles(t, f, map[string]string{"e.csv": string(rows)})
}

func TestObjectThatChangedEndsTheSnapshot(t *testing.T) {
	opaque := func(tag string) func(verify.Want) verify.Want {
		return func(w verify.Want) verify.Want { return verify.Want{Size: w.Size, ETag: tag, CRC64: w.CRC64} }
	}
	for name, change := range map[string]func(i *item){
		"its bytes":         func(i *item) { i.body = []byte(strings.ToUpper(string(i.body))) },
		"its size":          func(i *item) { i.body = i.body[:900] },
		"its opaque ETag":   func(i *item) { i.want = opaque(`"v2"`) },
		"the ETag's form":   func(i *item) { i.want = opaque(etagOf(nil)[:33] + `-2"`) },
		"one already there": nil,
	} {
		t.Run(name, func(t *testing.T) {
			s := newShelf(fiveObjects()...)
			s.items[1].want, s.items[3].want = opaque(`"v1"`), opaque(`"v1"`)
			f := shelved(t, s)
			halfDone(t, f, s, "2.csv")
			if change != nil {
				change(s.items[3])
			} else {
				s.items[1].want = opaque(`"v2"`)
			}
			s.items = append(s.items, object("late.csv", rows))
			_, err := fetchShelf(t, f)
			if !errors.Is(err, fetch.ErrChanged) || !strings.Contains(err.Error(), ".csv") {
				t.Errorf("%v, want %v of an object", err, fetch.ErrChanged)
			}
			checkAbsent(t, f, shelfKey)
			mustFetch(t, f)
			checkFiles(t, f, contents(s.items))
		})
	}
}

// One that changes under way is found by its store.
func TestObjectThatChangesUnderWayEndsTheSnapshot(t *testing.T) {
	for _, why := range []error{fetch.ErrChanged, fetch.ErrNotFound} {
		s := newShelf(fiveObjects()...)
		f := shelved(t, s)
		s.items[3].hinder = func(context.Context, int64) error { return fmt.Errorf("object 3: %w", why) }
		if _, err := fetchShelf(t, f); !errors.Is(err, why) {
			t.Errorf("%v, want %v", err, why)
		}
		s.items[3] = object("3.csv", rows[:77])
		mustFetch(t, f)
		checkFiles(t, f, contents(s.items))
	}
}

func TestObjectThatVanishedIsMissedUnlessItIsHere(t *testing.T) {
	s := newShelf(fiveObjects()...)
	f := shelved(t, s)
	all := s.items
	halfDone(t, f, s, "2.csv")
	s.items = s.items[1:] // 0.csv is here
	receipt := mustFetch(t, f)
	checkFiles(t, f, contents(all))
	if len(receipt.Objects) != 5 {
		t.Errorf("%d objects", len(receipt.Objects))
	}

	s = newShelf(fiveObjects()...)
	f = shelved(t, s)
	halfDone(t, f, s, "2.csv")
	s.items = s.items[:3]
	_, err := fetchShelf(t, f)
	if !errors.Is(err, fetch.ErrNotFound) || !strings.Contains(err.Error(), "3.csv") {
		t.Errorf("%v, want %v of 3.csv", err, fetch.ErrNotFound)
	}
	checkAbsent(t, f, shelfKey)
	mustFetch(t, f) // what is there now
	checkFiles(t, f, contents(s.items))
}

func TestListingThatFailsPinsNothing(t *testing.T) {
	s := newShelf(fiveObjects()[:2]...)
	s.broken = errors.New("broken by a test")
	f := shelved(t, s)
	if _, err := fetchShelf(t, f); !errors.Is(err, s.broken) {
		t.Errorf("%v, want %v", err, s.broken)
	}
	for _, i := range s.items {
		if n, _ := i.counts(); n > 0 {
			t.Errorf("%s was asked for", i.name)
		}
	}
	s.broken, s.items = nil, fiveObjects()
	mustFetch(t, f)
	checkFiles(t, f, contents(s.items))
}

func TestListingThatFailsLaterEndsTheAttempt(t *testing.T) {
	s := newShelf(fiveObjects()...)
	f := shelved(t, s)
	halfDone(t, f, s, "2.csv")
	all := s.items
	s.items, s.broken = s.items[:3], errors.New("broken by a test")
	if _, err := fetchShelf(t, f); !errors.Is(err, s.broken) {
		t.Errorf("%v, want %v", err, s.broken)
	}
	checkAbsent(t, f, shelfKey)
	s.items, s.broken = all, nil
	mustFetch(t, f)
	checkFiles(t, f, contents(all))
}

func TestNothingToListIsNoEmptyBag(t *testing.T) {
	for _, snapshot := range []bool{true, false} {
		s := newShelf()
		s.snapshot = snapshot
		f := shelved(t, s)
		if _, err := fetchShelf(t, f); err == nil || snapshot && !errors.Is(err, fetch.ErrNotFound) {
			t.Errorf("%v, want %v", err, fetch.ErrNotFound)
		}
		checkAbsent(t, f, shelfKey)
		s.items = fiveObjects()
		mustFetch(t, f)
		checkFiles(t, f, contents(s.items))
	}
}

func TestNameListedTwiceIsOneObject(t *testing.T) {
	s := newShelf(object("a.csv", rows), object("b.csv", rows), object("a.csv", rows))
	f := shelved(t, s)
	if receipt := mustFetch(t, f); len(receipt.Objects) != 2 {
		t.Errorf("%d objects", len(receipt.Objects))
	}
}

// Pins that can't be read are as good as none.
func TestPinsThatRottedAreTakenAnew(t *testing.T) {
	for _, spoil := range []func([]byte) []byte{
		func(b []byte) []byte { return nil },
		func(b []byte) []byte { return b[:len(b)/2] },
		func(b []byte) []byte { return []byte(strings.Replace(string(b), "\n", "\n\x00", 1)) },
		func(b []byte) []byte { _, after, _ := strings.Cut(string(b), "\n"); return []byte(after) },
	} {
		s := newShelf(fiveObjects()...)
		f := shelved(t, s)
		halfDone(t, f, s, "2.csv")
		path, _ := filepath.Glob(f.Archive.Path(".ingest/*/pins.jsonl"))
		if len(path) != 1 {
			t.Fatal(path)
		}
		b, err := os.ReadFile(path[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path[0], spoil(b), 0o644); err != nil {
			t.Fatal(err)
		}
		s.items = append(s.items, object("late.csv", rows))
		mustFetch(t, f)
		checkFiles(t, f, contents(s.items))
	}
}
