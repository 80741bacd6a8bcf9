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
	"tallyman/fetch/fetchtest"
	"tallyman/verify"
)

// fetchUpTo makes an attempt that fails at the object at, after it has received all
// objects before that and none after it.
func fetchUpTo(t *testing.T, f *fetch.Fetcher, s *fetchtest.Memory, at string) {
	t.Helper()
	f.Parallel = 1
	broken := errors.New("broken by a test")
	from := slices.IndexFunc(s.Files, func(i *fetchtest.File) bool { return i.Name == at })
	for _, i := range s.Files[from:] {
		i.BeforeAnswer = func(context.Context, int64) error { return broken }
		defer func() { i.BeforeAnswer = nil }()
	}
	if _, err := fetchOnce(t, f); !errors.Is(err, broken) {
		t.Fatal(err)
	}
}

func contents(items []*fetchtest.File) map[string]string {
	want := map[string]string{}
	for _, i := range items {
		want[i.Name] = string(i.Body)
	}
	return want
}

func TestObjectsAddedAfterTheFirstAttemptAreLeftOut(t *testing.T) {
	s := fetchtest.NewMemory(fiveObjects()...)
	f := newMemoryFetcher(t, s)
	fetchUpTo(t, f, s, "2.csv")
	first := s.Files
	s.Files = append([]*fetchtest.File{fetchtest.NewFile("00.csv", rows), fetchtest.NewFile("2.csv.gz", rows)}, s.Files...)
	s.Files = append(s.Files, fetchtest.NewFile("z/late.csv", rows))
	receipt := mustFetch(t, f)
	checkFiles(t, f, contents(first))
	if len(receipt.Objects) != 5 {
		t.Errorf("%d objects", len(receipt.Objects))
	}
}

// The name of a file depends on whether there is one object or several.
func TestAnOnlyObjectIsNamedAsSuchInLaterAttempts(t *testing.T) {
	s := fetchtest.NewMemory(fetchtest.NewFile("a.csv", rows))
	f := newMemoryFetcher(t, s)
	fetchUpTo(t, f, s, "a.csv")
	s.Files = append(s.Files, fetchtest.NewFile("b.csv", rows))
	mustFetch(t, f)
	checkFiles(t, f, map[string]string{"e.csv": string(rows)})
}

func TestAnObjectThatChangedDiscardsTheSnapshot(t *testing.T) {
	opaque := func(tag string) func(verify.Want) verify.Want {
		return func(w verify.Want) verify.Want { return verify.Want{Size: w.Size, ETag: tag, CRC64: w.CRC64} }
	}
	for name, change := range map[string]func(i *fetchtest.File){
		"its bytes":         func(i *fetchtest.File) { i.Body = []byte(strings.ToUpper(string(i.Body))) },
		"its size":          func(i *fetchtest.File) { i.Body = i.Body[:900] },
		"its opaque ETag":   func(i *fetchtest.File) { i.Promise = opaque(`"v2"`) },
		"the ETag's form":   func(i *fetchtest.File) { i.Promise = opaque(etagOf(nil)[:33] + `-2"`) },
		"one already there": nil,
	} {
		t.Run(name, func(t *testing.T) {
			s := fetchtest.NewMemory(fiveObjects()...)
			s.Files[1].Promise, s.Files[3].Promise = opaque(`"v1"`), opaque(`"v1"`)
			f := newMemoryFetcher(t, s)
			fetchUpTo(t, f, s, "2.csv")
			if change != nil {
				change(s.Files[3])
			} else {
				s.Files[1].Promise = opaque(`"v2"`)
			}
			s.Files = append(s.Files, fetchtest.NewFile("late.csv", rows))
			_, err := fetchOnce(t, f)
			if !errors.Is(err, fetch.ErrChanged) || !strings.Contains(err.Error(), ".csv") {
				t.Errorf("%v, want %v of an object", err, fetch.ErrChanged)
			}
			checkAbsent(t, f, exportKey)
			mustFetch(t, f)
			checkFiles(t, f, contents(s.Files))
		})
	}
}

func TestAnObjectThatChangesDuringAnAttemptDiscardsTheSnapshot(t *testing.T) {
	for _, why := range []error{fetch.ErrChanged, fetch.ErrNotFound} {
		s := fetchtest.NewMemory(fiveObjects()...)
		f := newMemoryFetcher(t, s)
		s.Files[3].BeforeAnswer = func(context.Context, int64) error { return fmt.Errorf("object 3: %w", why) }
		if _, err := fetchOnce(t, f); !errors.Is(err, why) {
			t.Errorf("%v, want %v", err, why)
		}
		s.Files[3] = fetchtest.NewFile("3.csv", rows[:77])
		mustFetch(t, f)
		checkFiles(t, f, contents(s.Files))
	}
}

func TestAnObjectThatVanishedIsNotFoundUnlessItWasReceived(t *testing.T) {
	s := fetchtest.NewMemory(fiveObjects()...)
	f := newMemoryFetcher(t, s)
	all := s.Files
	fetchUpTo(t, f, s, "2.csv")
	s.Files = s.Files[1:] // 0.csv was received
	receipt := mustFetch(t, f)
	checkFiles(t, f, contents(all))
	if len(receipt.Objects) != 5 {
		t.Errorf("%d objects", len(receipt.Objects))
	}

	s = fetchtest.NewMemory(fiveObjects()...)
	f = newMemoryFetcher(t, s)
	fetchUpTo(t, f, s, "2.csv")
	s.Files = s.Files[:3]
	_, err := fetchOnce(t, f)
	if !errors.Is(err, fetch.ErrNotFound) || !strings.Contains(err.Error(), "3.csv") {
		t.Errorf("%v, want %v of 3.csv", err, fetch.ErrNotFound)
	}
	checkAbsent(t, f, exportKey)
	mustFetch(t, f) // a new snapshot
	checkFiles(t, f, contents(s.Files))
}

func TestAFailedListingMakesNoSnapshot(t *testing.T) {
	s := fetchtest.NewMemory(fiveObjects()[:2]...)
	s.Err = errors.New("broken by a test")
	f := newMemoryFetcher(t, s)
	if _, err := fetchOnce(t, f); !errors.Is(err, s.Err) {
		t.Errorf("%v, want %v", err, s.Err)
	}
	for _, i := range s.Files {
		if n, _ := i.Counts(); n > 0 {
			t.Errorf("%s was asked for", i.Name)
		}
	}
	s.Err, s.Files = nil, fiveObjects()
	mustFetch(t, f)
	checkFiles(t, f, contents(s.Files))
}

func TestAListingThatFailsInALaterAttemptFailsIt(t *testing.T) {
	s := fetchtest.NewMemory(fiveObjects()...)
	f := newMemoryFetcher(t, s)
	fetchUpTo(t, f, s, "2.csv")
	all := s.Files
	s.Files, s.Err = s.Files[:3], errors.New("broken by a test")
	if _, err := fetchOnce(t, f); !errors.Is(err, s.Err) {
		t.Errorf("%v, want %v", err, s.Err)
	}
	checkAbsent(t, f, exportKey)
	s.Files, s.Err = all, nil
	mustFetch(t, f)
	checkFiles(t, f, contents(all))
}

func TestAnEmptyListingLandsNothing(t *testing.T) {
	for _, snapshot := range []bool{true, false} {
		s := fetchtest.NewMemory()
		s.Snapshot = snapshot
		f := newMemoryFetcher(t, s)
		_, err := fetchOnce(t, f)
		if snapshot && !errors.Is(err, fetch.ErrNotFound) || !snapshot && (err == nil || !strings.Contains(err.Error(), "the export has no objects")) {
			t.Errorf("%v, want an error that there are no objects", err)
		}
		checkAbsent(t, f, exportKey)
		s.Files = fiveObjects()
		mustFetch(t, f)
		checkFiles(t, f, contents(s.Files))
	}
}

func TestNameListedTwiceIsOneObject(t *testing.T) {
	s := fetchtest.NewMemory(fetchtest.NewFile("a.csv", rows), fetchtest.NewFile("b.csv", rows), fetchtest.NewFile("a.csv", rows))
	f := newMemoryFetcher(t, s)
	if receipt := mustFetch(t, f); len(receipt.Objects) != 2 {
		t.Errorf("%d objects", len(receipt.Objects))
	}
}

func TestAnUnreadableSnapshotIsTakenAgain(t *testing.T) {
	for _, spoil := range []func([]byte) []byte{
		func(b []byte) []byte { return nil },
		func(b []byte) []byte { return b[:len(b)/2] },
		func(b []byte) []byte { return []byte(strings.Replace(string(b), "\n", "\n\x00", 1)) },
		func(b []byte) []byte { _, after, _ := strings.Cut(string(b), "\n"); return []byte(after) },
	} {
		s := fetchtest.NewMemory(fiveObjects()...)
		f := newMemoryFetcher(t, s)
		fetchUpTo(t, f, s, "2.csv")
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
		s.Files = append(s.Files, fetchtest.NewFile("late.csv", rows))
		mustFetch(t, f)
		checkFiles(t, f, contents(s.Files))
	}
}
