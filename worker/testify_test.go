package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/verify"
	"tallyman/verify/archive"
	"tallyman/verify/archive/ledger"
)

// A fakeWitness counts as it is told, or fails.
type fakeWitness struct {
	mu      sync.Mutex
	records int64
	errs    map[string]error // by the group
	asked   map[string][]time.Duration
	began   time.Time
}

func (w *fakeWitness) Count(_ context.Context, window fetch.Window) (fetch.Count, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked[window.Group] = append(w.asked[window.Group], time.Since(w.began))
	return fetch.Count{Records: w.records, Calls: 2}, w.errs[window.Group]
}

func (*fakeWitness) Countable(context.Context, fetch.Window) (fetch.Countable, error) {
	return fetch.Countable{}, nil
}

// witnessed lands a file of two rows and a header for each group, and returns what asks for
// their counts.
func (w *fakeWitness) witnessed(t *testing.T, groups ...string) (testifier *Testifier, counts []DueCount) {
	t.Helper()
	a := openArchive(t)
	fetcher := newFetcher(fetchtest.NewMemory(fetchtest.NewFile("a.csv", []byte("id,name\n1,a\n2,b\n"))), a)
	for i, group := range groups {
		ref := parseRef(t, fmt.Sprintf("sls://cn-hangzhou/project/job-%d", i))
		if _, err := fetcher.Fetch(t.Context(), ref); err != nil {
			t.Fatal(err)
		}
		end := time.Now().Truncate(time.Second)
		counts = append(counts, DueCount{ref, ledger.Window{Group: group, From: end.Add(-time.Hour).Unix(), To: end.Unix()}})
	}
	w.asked, w.began = map[string][]time.Duration{}, time.Now()
	return &Testifier{Archive: a, Events: a.SinceLanded, Witness: func(fetch.Ref) (fetch.Witness, bool) { return w, true }}, counts
}

// However many ask at once, a source is asked once for a window, and again when rows can't be
// late any more.
func TestASourceIsAskedOnceAndAgainAfterEightDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &fakeWitness{records: 2}
		testifier, counts := w.witnessed(t, "access *")
		const day = 24 * time.Hour
		for _, at := range []struct {
			after time.Duration
			want  archive.Verdict // of one of those who ask; "": nobody asks
		}{{0, archive.Agrees}, {day, ""}, {8*day - time.Second, ""}, {8 * day, archive.WitnessMismatch}, {30 * day, ""}} {
			time.Sleep(at.after - time.Since(w.began))
			if at.after > 0 {
				w.records = 3
			}
			var verdicts []archive.Verdict
			var mu sync.Mutex
			var all sync.WaitGroup
			for range 3 {
				all.Go(func() {
					testimony, err := testifier.TestifyIfDue(t.Context(), counts[0])
					if err != nil {
						t.Error(err)
					}
					if testimony != nil {
						mu.Lock()
						defer mu.Unlock()
						verdict, _ := testimony.Judge()
						verdicts = append(verdicts, verdict)
					}
				})
			}
			all.Wait()
			if want := slices.DeleteFunc([]archive.Verdict{at.want}, func(v archive.Verdict) bool { return v == "" }); !slices.Equal(verdicts, want) {
				t.Errorf("after %v: got %q, want %q", at.after, verdicts, want)
			}
		}
	})
}

// A source that refuses is asked again after a while, and holds up no other.
func TestASourceThatRefusesIsLeftAloneForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &fakeWitness{records: 2, errs: map[string]error{"gone *": fetch.ErrNotFound}}
		testifier, counts := w.witnessed(t, "gone *", "gone *", "access *")
		ctx, stop := context.WithTimeout(t.Context(), 4*time.Hour)
		defer stop()
		told, failed := 0, 0
		due := func(context.Context) ([]DueCount, error) { return counts, nil }
		testifier.Keep(ctx, due, func(_ fetch.Ref, testimony *archive.Testimony, err error) {
			switch {
			case testimony != nil:
				told++
			case errors.Is(err, fetch.ErrNotFound):
				failed++
			default:
				t.Error(err)
			}
		})
		want := []time.Duration{0, 1, 3, 7, 15, 31, 63, 123, 183}
		for i := range want {
			want[i] *= time.Minute
		}
		if got := w.asked["gone *"]; !slices.Equal(got, want) || failed != len(want) {
			t.Errorf("asked after %v, told of %d, want %v", got, failed, want)
		}
		if got := w.asked["access *"]; len(got) != 1 || told != 1 {
			t.Errorf("the other was asked after %v, and told of %d times", got, told)
		}
	})
}

// Rows are counted without the header that is known of the group, or else as the receipt says.
// Nobody is asked where that makes no difference.
func TestRowsAreCountedWithoutAKnownHeader(t *testing.T) {
	place, _ := parseRef(t, "sls://cn-hangzhou/project/job").Place()
	window := &ledger.Window{Group: "access *", From: 1, To: 2}
	first := &ledger.First{SHA256: "abc", Files: 2}
	for _, tt := range []struct {
		name    string
		receipt archive.Receipt
		window  *ledger.Window
		known   int64
		rows    int64
		asked   int
	}{
		{"known", archive.Receipt{Records: 10, First: first}, window, 3, 8, 1},
		{"not known", archive.Receipt{Records: 10, First: first}, window, 0, 10, 1},
		{"not known, and one file reads as if it had one", archive.Receipt{Records: 10, Headers: 1, First: first}, window, 0, 9, 1},
		{"as the promise says", archive.Receipt{Records: 10, Headers: 2, First: first}, window, 3, 8, 0},
		{"files that begin with different records", archive.Receipt{Records: 10, First: &ledger.First{Files: 2}}, window, 3, 10, 0},
		{"of an earlier version", archive.Receipt{Records: 10, Headers: 1}, window, 3, 9, 0},
		{"no window", archive.Receipt{Records: 10, First: first}, nil, 3, 10, 0},
		{"not countable", archive.Receipt{Records: verify.Unknown, First: first}, window, 3, verify.Unknown, 0},
	} {
		asked := 0
		testifier := &Testifier{Header: func(place, group, sha256 string) (int64, error) {
			if asked++; place != "sls://cn-hangzhou/project/" || group != "access *" || sha256 != "abc" {
				t.Errorf("%s: asked about %s, %s, %s", tt.name, place, group, sha256)
			}
			return tt.known, nil
		}}
		if rows, err := testifier.rows(&tt.receipt, place, tt.window); rows != tt.rows || asked != tt.asked || err != nil {
			t.Errorf("%s: %d rows, want %d; asked %d times, %v", tt.name, rows, tt.rows, asked, err)
		}
	}
	unasked := &Testifier{}
	if rows, err := unasked.rows(&archive.Receipt{Records: 10, First: first}, place, window); rows != 10 || err != nil {
		t.Errorf("%d rows, %v", rows, err)
	}
}
