package fetch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/verify"
	"tallyman/verify/archive"
)

// prefixRef is the reference of objects that no job promised together.
const prefixRef, prefixKey = "oss://bucket/p/", "oss/bucket/p%2F"

func fetchPrefix(t *testing.T, f *fetch.Fetcher) (*archive.Receipt, error) {
	t.Helper()
	return f.Fetch(t.Context(), parseRef(t, prefixRef))
}

// answering returns a file whose first n requests are answered by an error.
func answering(err error, n int32) *fetchtest.File {
	var requests atomic.Int32
	file := fetchtest.NewFile("b.csv", rows)
	file.BeforeAnswer = func(context.Context, int64) error {
		if requests.Add(1) > n {
			return nil
		}
		return err
	}
	return file
}

// isIncomplete says whether the only doubt names an object that is left out.
func isIncomplete(doubts []string, object string) bool {
	return len(doubts) == 1 && strings.HasPrefix(doubts[0], fmt.Sprintf("incomplete: %q is left out: ", object))
}

// One object that can't land is left out of a prefix, and named by a doubt. What a
// job promised together lands whole or not at all.
func TestAnObjectThatCannotLandIsLeftOutOfItsPrefixAlone(t *testing.T) {
	const always = 1 << 30
	broken := encode(t, "gzip", rows)
	broken[len(broken)-5] ^= 1
	promised := func(file *fetchtest.File, promise func(verify.Want) verify.Want) *fetchtest.File {
		file.Promise = promise
		return file
	}
	flippedFile := fetchtest.NewFile("b.csv", rows)
	flippedFile.Answer = flipped(150)
	for name, bad := range map[string]*fetchtest.File{
		"corrupt":             fetchtest.NewFile("b.csv.gz", broken),
		"mislabelled":         fetchtest.NewFile("b.gz", []byte("\x00\x01")),
		"empty, by its size":  promised(fetchtest.NewFile("b.csv.gz", nil), onlySize),
		"unproven":            promised(fetchtest.NewFile("b.csv", rows), func(verify.Want) verify.Want { return verify.NoPromise() }),
		"too deep a path":     fetchtest.NewFile(strings.Repeat("b/", 2500)+"b", rows),
		"unsafe entry":        fetchtest.NewFile("b.zip", zipOf(t, 8, file{"../x", rows})),
		"too many entries":    fetchtest.NewFile("b.zip", zipOf(t, 8, file{"x", rows}, file{"y", rows}, file{"z", rows})),
		"other than promised": flippedFile,
		"gone":                answering(fetch.ErrNotFound, always),
		"denied":              answering(fetch.ErrAuth, always),
		"refused":             answering(fetch.ErrRefused, always),
		"always changing":     answering(fetch.ErrChanged, always),
	} {
		t.Run(name, func(t *testing.T) {
			s := fetchtest.NewMemory(fetchtest.NewFile("a.csv", rows), bad, fetchtest.NewFile("c.csv", rows))
			f := newMemoryFetcher(t, s)
			f.Limits.Entries = 2
			receipt, err := fetchPrefix(t, f)
			if err != nil {
				t.Fatal(err)
			}
			if len(receipt.Objects) != 2 || !isIncomplete(receipt.Doubts, bad.Name) {
				t.Errorf("%d objects, doubts %q", len(receipt.Objects), receipt.Doubts)
			}
			if got := filesOfKey(t, f, prefixKey); len(got) != 2 || got["a.csv"] != string(rows) || got["c.csv"] != string(rows) {
				t.Errorf("%d files landed", len(got))
			}
			if err := f.Archive.Recheck(t.Context(), prefixKey, nil); err != nil {
				t.Error(err)
			}
			if _, err := fetchOnce(t, f); err == nil {
				t.Error("it is left out of what a job promised together")
			}
			checkAbsent(t, f, exportKey)
		})
	}
}

// What may pass is tried again before an object is left out.
func TestAnObjectUnderAPrefixIsTriedAgainBeforeItIsLeftOut(t *testing.T) {
	for _, kind := range []error{fetch.ErrChanged, fetch.ErrNotFound, fetch.ErrAuth, &verify.Mismatch{}} {
		s := fetchtest.NewMemory(fetchtest.NewFile("a.csv", rows), answering(kind, 2))
		f := newMemoryFetcher(t, s)
		f.Parallel, f.PartSize = 1, 1<<20
		if receipt, err := fetchPrefix(t, f); err != nil || len(receipt.Objects) != 2 || len(receipt.Doubts) > 0 {
			t.Errorf("%v: %v", kind, err)
		}
	}
}

// An object that has changed since it was listed lands as it is listed then.
func TestAnObjectThatChangesUnderAPrefixLandsAsItIsThen(t *testing.T) {
	s := fetchtest.NewMemory(fetchtest.NewFile("a.csv", rows), fetchtest.NewFile("b.csv", rows))
	changed := fetchtest.NewFile("b.csv", rows[:500])
	s.Files[1].BeforeAnswer = func(context.Context, int64) error { return fetch.ErrChanged }
	f := newMemoryFetcher(t, s)
	f.Providers["oss"] = listings{s, func(n int) {
		if n == 3 { // after the one of the pins and the first pass
			s.Files[1] = changed
		}
	}}
	if receipt, err := fetchPrefix(t, f); err != nil || len(receipt.Doubts) > 0 || filesOfKey(t, f, prefixKey)["b.csv"] != string(rows[:500]) {
		t.Errorf("%v: %v", receipt, err)
	}
}

// What says nothing of one object alone fails the attempt, and the next goes on.
func TestAFailureThatIsNotOfOneObjectLeavesNothingOut(t *testing.T) {
	own := errors.New("our own disk")
	for _, kind := range []error{fetch.ErrTemporary, fetch.ErrThrottled, fetch.ErrExpired, own} {
		s := fetchtest.NewMemory(fetchtest.NewFile("a.csv", rows), answering(kind, 4), fetchtest.NewFile("c.csv", rows))
		f := newMemoryFetcher(t, s)
		f.Parallel, f.PartSize = 1, 1<<20
		if _, err := fetchPrefix(t, f); !errors.Is(err, kind) {
			t.Errorf("%v, want %v", err, kind)
		}
		checkAbsent(t, f, prefixKey)
		s.Files[1].BeforeAnswer = nil
		if receipt, err := fetchPrefix(t, f); err != nil || len(receipt.Objects) != 3 || len(receipt.Doubts) > 0 {
			t.Errorf("%v", err)
		}
	}
}

// An object that the store never serves is left out if the store serves others, even
// in the end. If it serves none then, or fails to serve many, the fault is its own.
func TestAnObjectThatTheStoreNeverServesIsLeftOut(t *testing.T) {
	failing := func(first int32) *fetchtest.File {
		return answering(&fetch.CallError{Call: "GetObject", Status: 500, Code: "InternalError", Kind: fetch.ErrTemporary}, first)
	}
	const always, times = 1 << 30, 12 // 4 tries in each of 3 passes
	for name, tt := range map[string]struct {
		fails            int32 // how often the object does
		served           int32 // how often the other is served
		many             int   // other objects that fail
		lands, leavesOut bool
	}{
		"at all":                         {fails: always, served: always, lands: true, leavesOut: true},
		"up to the last try":             {fails: times - 1, served: always, lands: true},
		"and later no other one, either": {fails: always, served: 1},
		"and many others":                {fails: always, served: always, many: 20},
	} {
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int32
			other := fetchtest.NewFile("a.csv", rows)
			other.BeforeAnswer = func(context.Context, int64) error {
				if requests.Add(1) > tt.served {
					return fetch.ErrTemporary
				}
				return nil
			}
			s := fetchtest.NewMemory(other, failing(tt.fails))
			for i := range tt.many {
				file := failing(always)
				file.Name = fmt.Sprintf("many/%d", i)
				s.Files = append(s.Files, file)
			}
			f := newMemoryFetcher(t, s)
			f.PartSize = 1 << 20
			receipt, err := fetchPrefix(t, f)
			switch {
			case (err == nil) != tt.lands || err != nil && !errors.Is(err, fetch.ErrTemporary):
				t.Errorf("%+v, %v", receipt, err)
			case err == nil && isIncomplete(receipt.Doubts, "b.csv") != tt.leavesOut:
				t.Errorf("doubts %q", receipt.Doubts)
			}
		})
	}
}

// A prefix of which nothing can land fails by what its objects fail by, and so does
// one whose listing is refused.
func TestAPrefixOfWhichNothingCanLandFails(t *testing.T) {
	for _, kind := range []error{fetch.ErrAuth, fetch.ErrCorrupt, fetch.ErrChanged} {
		s := fetchtest.NewMemory(answering(kind, 1<<30), answering(kind, 1<<30))
		s.Files[1].Name = "c.csv"
		f := newMemoryFetcher(t, s)
		if _, err := fetchPrefix(t, f); !errors.Is(err, kind) {
			t.Errorf("%v, want %v", err, kind)
		}
		checkAbsent(t, f, prefixKey)
	}
	s := fetchtest.NewMemory(fetchtest.NewFile("a.csv", rows), answering(fetch.ErrAuth, 1<<30))
	f := newMemoryFetcher(t, s)
	f.Providers["oss"] = listings{s, func(n int) {
		if n == 3 { // the keys have been revoked meanwhile
			s.Files, s.Err = nil, fetch.ErrAuth
		}
	}}
	if _, err := fetchPrefix(t, f); !errors.Is(err, fetch.ErrAuth) {
		t.Errorf("%v, want %v", err, fetch.ErrAuth)
	}
	checkAbsent(t, f, prefixKey)
}

// listings is a provider that calls a function before each listing, from 1 on.
type listings struct {
	*fetchtest.Memory
	before func(n int)
}

func (p listings) Export(ctx context.Context, ref fetch.Ref) (*fetch.Export, error) {
	export, err := p.Memory.Export(ctx, ref)
	n := 0
	export.Objects = func(yield func(fetch.Object, error) bool) {
		n++
		p.before(n)
		now, _ := p.Memory.Export(ctx, ref)
		now.Objects(yield)
	}
	return export, err
}

// A listing may refuse one object alone, as for its name.
func TestAnObjectThatItsListingRefusesIsLeftOut(t *testing.T) {
	s := fetchtest.NewMemory(fetchtest.NewFile("a.csv", rows), fetchtest.NewFile("c.csv", rows))
	f := newMemoryFetcher(t, s)
	f.Providers["oss"] = fetchtest.ProviderFunc(func(ctx context.Context, ref fetch.Ref) (*fetch.Export, error) {
		export, err := s.Export(ctx, ref)
		objects := export.Objects
		export.Objects = func(yield func(fetch.Object, error) bool) {
			if yield(fetch.Object{Name: `"b\xff"`}, fetch.ErrUnsafeName) {
				objects(yield)
			}
		}
		return export, err
	})
	if receipt, err := fetchPrefix(t, f); err != nil || len(receipt.Objects) != 2 || !isIncomplete(receipt.Doubts, `"b\xff"`) {
		t.Errorf("%+v: %v", receipt, err)
	}
}

func TestManyObjectsThatAreLeftOutAreSummedUp(t *testing.T) {
	s := fetchtest.NewMemory(fetchtest.NewFile("a.csv", rows))
	for i := range 150 {
		s.Files = append(s.Files, fetchtest.NewFile(fmt.Sprintf("b%03d.gz", i), []byte("\x00")))
	}
	receipt, err := fetchPrefix(t, newMemoryFetcher(t, s))
	if err != nil || len(receipt.Doubts) != 101 || !slices.Contains(receipt.Doubts, "incomplete: 150 objects in all are left out") {
		t.Errorf("%+v: %v", receipt, err)
	}
}
