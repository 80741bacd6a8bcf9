package fetch_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/verify/archive"
)

func mustFetchPrefix(t *testing.T, f *fetch.Fetcher, revision time.Time) *archive.Receipt {
	t.Helper()
	ref := parseRef(t, prefixRef)
	if !revision.IsZero() {
		ref = ref.WithRevision(revision).WithNewOnly()
	}
	receipt, err := f.Fetch(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	return receipt
}

func checkChanges(t *testing.T, f *fetch.Fetcher, want fetch.Changes) {
	t.Helper()
	got, err := f.Changes(t.Context(), parseRef(t, prefixRef))
	if err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changes (-want +got)\n%s", diff)
	}
}

var later = time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)

// What has come to a prefix since it landed is told, and lands by itself in a bag
// beside, under the names of its keys.
func TestAPrefixThatHasGrownIsToldAndItsNewObjectsLand(t *testing.T) {
	s := fetchtest.NewMemory(fetchtest.NewFile("a.csv", rows), fetchtest.NewFile("b.csv", rows))
	f := newMemoryFetcher(t, s)
	mustFetchPrefix(t, f, time.Time{})
	checkChanges(t, f, fetch.Changes{})

	s.Files = append(s.Files, fetchtest.NewFile("c.csv", rows[:50]))
	checkChanges(t, f, fetch.Changes{New: 1, Names: []string{"c.csv"}, Size: 50})
	mustFetchPrefix(t, f, later)
	if diff := cmp.Diff(map[string]string{"c.csv": string(rows[:50])}, filesOfKey(t, f, prefixKey+"@20261201T000000Z")); diff != "" {
		t.Errorf("the new bag (-want +got)\n%s", diff)
	}
	checkChanges(t, f, fetch.Changes{})

	s.Files[0] = fetchtest.NewFile("a.csv", rows[:70])
	s.Files = s.Files[:2]
	checkChanges(t, f, fetch.Changes{Changed: 1, Gone: 1, Names: []string{"a.csv"}, Size: 70})
	if n := len(mustFetchPrefix(t, f, later.Add(time.Second)).Objects); n != 1 {
		t.Errorf("%d objects landed, want the one that has changed", n)
	}
	checkChanges(t, f, fetch.Changes{Gone: 1})

	s.Files[0] = fetchtest.NewFile("a.csv", rows) // a version that landed before
	checkChanges(t, f, fetch.Changes{Gone: 1})
	s.Files, s.Err = nil, fetch.ErrNotFound
	checkChanges(t, f, fetch.Changes{Gone: 3})
}

// What was left out when a prefix landed is told as that, and not as new as well. Once
// it can land, it does so like what is new, and is left out no more.
func TestAnObjectThatWasLeftOutIsNotNew(t *testing.T) {
	denied := answering(fetch.ErrAuth, 1<<30)
	s := fetchtest.NewMemory(fetchtest.NewFile("a.csv", rows), denied)
	f := newMemoryFetcher(t, s)
	if receipt := mustFetchPrefix(t, f, time.Time{}); !isIncomplete(receipt.Doubts, "b.csv") {
		t.Fatalf("doubts %q", receipt.Doubts)
	}
	checkChanges(t, f, fetch.Changes{LeftOut: 1, Size: int64(len(rows))})
	s.Files = append(s.Files, fetchtest.NewFile("c.csv", rows[:50]))
	checkChanges(t, f, fetch.Changes{New: 1, LeftOut: 1, Names: []string{"c.csv"}, Size: int64(len(rows)) + 50})

	s.Files = s.Files[:2]
	if _, err := f.Fetch(t.Context(), parseRef(t, prefixRef).WithRevision(later).WithNewOnly()); !errors.Is(err, fetch.ErrAuth) {
		t.Errorf("%v, want %v", err, fetch.ErrAuth)
	}
	s.Files = append(s.Files, fetchtest.NewFile("c.csv", rows[:50]))
	denied.BeforeAnswer = nil
	if n := len(mustFetchPrefix(t, f, later.Add(time.Hour)).Objects); n != 2 {
		t.Errorf("%d objects landed, want the new one and the one that was left out", n)
	}
	checkChanges(t, f, fetch.Changes{})
}

// More objects than a receipt lists are compared as well.
func TestChangesOfManyObjectsAreCounted(t *testing.T) {
	s := fetchtest.NewMemory()
	for i := range 150 {
		s.Files = append(s.Files, fetchtest.NewFile(fmt.Sprintf("%03d.csv", i), rows[:9]))
	}
	f := newMemoryFetcher(t, s)
	landed := s.Files
	s.Files = landed[20:140]
	mustFetchPrefix(t, f, time.Time{})
	s.Files = landed[30:]
	for _, file := range landed[100:110] {
		file.Body = rows[:19]
	}
	names := make([]string, 10)
	for i := range names {
		names[i] = fmt.Sprint(100+i) + ".csv"
	}
	checkChanges(t, f, fetch.Changes{New: 10, Changed: 10, Gone: 10, Names: names, Size: 10*9 + 10*19})
}

// Where the source can't be asked, or what landed can't be read, nothing is said.
func TestChangesThatCannotBeKnownAreAnError(t *testing.T) {
	s := fetchtest.NewMemory(fetchtest.NewFile("a.csv", rows))
	f := newMemoryFetcher(t, s)
	mustFetchPrefix(t, f, time.Time{})
	s.Err = fetch.ErrTemporary
	if _, err := f.Changes(t.Context(), parseRef(t, prefixRef)); !errors.Is(err, fetch.ErrTemporary) {
		t.Errorf("%v, want %v", err, fetch.ErrTemporary)
	}
	s.Err = nil
	if err := os.Remove(filepath.Join(f.Archive.Path(prefixKey), "receipt.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Changes(t.Context(), parseRef(t, prefixRef)); !errors.Is(err, archive.ErrDamaged) {
		t.Errorf("%v, want %v", err, archive.ErrDamaged)
	}
}

// What is damaged of a prefix is repaired by the objects that it had: what has come since is
// left out, and one that has changed since is refused. The job is not asked if another
// attempt has repaired it.
func TestAPrefixIsRepairedByTheObjectsThatItHad(t *testing.T) {
	s := fetchtest.NewMemory(fetchtest.NewFile("a.csv", rows), fetchtest.NewFile("b.csv", rows[:50]))
	f := newMemoryFetcher(t, s)
	mustFetchPrefix(t, f, time.Time{})
	ref, first := parseRef(t, prefixRef).WithRepair(), s.Files
	if receipt, err := f.Fetch(t.Context(), ref); err != nil || receipt.Key != prefixKey {
		t.Errorf("of one that is whole: %+v, %v", receipt, err)
	}
	if err := os.Remove(filepath.Join(f.Archive.Path(prefixKey), "data", "a.csv")); err != nil {
		t.Fatal(err)
	}
	audit := f.Archive.Audit()
	if err := audit.Recheck(t.Context(), prefixKey, nil); !errors.Is(err, archive.ErrDamaged) {
		t.Fatal(err)
	}
	audit.Close()
	s.Files = []*fetchtest.File{first[0], fetchtest.NewFile("b.csv", rows[1:51]), fetchtest.NewFile("c.csv", rows)}
	if _, err := f.Fetch(t.Context(), ref); !errors.Is(err, archive.ErrNotRepaired) {
		t.Errorf("of one that has changed: %v", err)
	}
	s.Files[1] = first[1]
	if receipt, err := f.Fetch(t.Context(), ref); err != nil || receipt.Key != prefixKey || len(receipt.Objects) != 2 {
		t.Errorf("%+v, %v", receipt, err)
	}
	if diff := cmp.Diff(map[string]string{"a.csv": string(rows), "b.csv": string(rows[:50])}, filesOfKey(t, f, prefixKey)); diff != "" {
		t.Errorf("the bag (-want +got)\n%s", diff)
	}
	s.Err = fetch.ErrTemporary
	if err := f.Poll(t.Context(), ref); err != nil {
		t.Errorf("the job was asked: %v", err)
	}
}
