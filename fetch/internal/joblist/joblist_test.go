package joblist

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tallyman/fetch"
	"tallyman/fetch/internal/api"
)

func init() {
	fetch.RegisterScheme(fetch.Scheme{Name: "sls", Segments: []fetch.Segment{{Name: "REGION"}, {Name: "PROJECT"}, {Name: "JOB"}}})
}

func TestAWalkEndsAtAMillionJobs(t *testing.T) {
	w := NewWalk("jobs")
	for i := range maxJobs {
		w.New(strconv.Itoa(i))
	}
	if err := w.Check(&api.Answer{}, false); err != nil {
		t.Errorf("a million jobs: %v", err)
	}
	w.New("one more")
	if err := w.Check(&api.Answer{}, false); !errors.Is(err, fetch.ErrRefused) || !strings.Contains(err.Error(), "more than 1000000 jobs") {
		t.Errorf("one more: got %v, want ErrRefused", err)
	}
}

func TestAWalkThatIsStuckFailsUnlessAllJobsWereSeen(t *testing.T) {
	w := NewWalk("jobs")
	w.New("a")
	for total, want := range map[int64]string{-1: "", 1: "", 2: "the same 1 jobs of 2 again and again"} {
		w.SetTotal(total)
		err := w.Check(&api.Answer{}, true)
		if (err == nil) != (want == "") || err != nil && (!errors.Is(err, fetch.ErrRefused) || !strings.Contains(err.Error(), want)) {
			t.Errorf("of %d: got %v, want %q", total, err, want)
		}
	}
}

func TestAListThatShrankIsWalkedTwiceMore(t *testing.T) {
	w, walks := NewWalk("jobs"), 1
	for {
		w.SetTotal(10)
		w.SetTotal(9)
		if !w.Rewalk() {
			break
		}
		walks++
	}
	if walks != 3 {
		t.Errorf("walked %d times, want 3", walks)
	}
	if w = NewWalk("jobs"); w.Rewalk() {
		t.Error("a list that did not shrink is walked again")
	}
}

// Pages that shift while the list grows bring jobs again; each is named once, and
// what can't be named is one error behind all others.
func TestJobsAreNamedOnceAndRefusedTogether(t *testing.T) {
	place, err := fetch.ParsePlace("sls://r/p/")
	if err != nil {
		t.Fatal(err)
	}
	since := time.Unix(100, 5)
	now := []Job{{Name: "new", Created: time.Unix(200, 0)}, {Name: "at that second", Created: time.Unix(100, 0)}, {Name: "a/b"}}
	old := []Job{{Name: "undated"}, {Name: "old", Created: time.Unix(99, 0)}}
	asked := 0
	pages := Pages(func() (func() ([]Job, error), func([]Job) (bool, error)) {
		list := [][]Job{now, old, {{Name: "too old", Created: time.Unix(1, 0)}}}
		return func() ([]Job, error) { asked++; return list[asked-1], nil },
			func([]Job) (bool, error) { return asked < len(list), nil }
	})
	l := Listing{Form: "sls://REGION/PROJECT/", Call: "List", Names: "names of jobs", Place: place, Since: since, Last: func(page []Job, since time.Time) bool {
		return page[len(page)-1].Created.Equal(time.Unix(99, 0)) && since.Equal(time.Unix(100, 0))
	}}
	var got []string
	for job, err := range Jobs(l, pages, func(page []Job) []Job { return page }) {
		got = append(got, job.Ref.String())
		if err != nil {
			got[len(got)-1] = err.Error()
		}
	}
	want := []string{"sls://r/p/new", "sls://r/p/at that second", "sls://r/p/undated", `List: refused by the source: names of jobs that no reference can hold (1): "a/b"`}
	if diff := cmp.Diff(want, got); diff != "" || asked != 2 {
		t.Errorf("after %d pages (-want +got):\n%s", asked, diff)
	}
}

func TestAnErrorOfAPageEndsTheListing(t *testing.T) {
	broken := errors.New("broken")
	for at := range 2 {
		asked := 0
		pages := Pages(func() (func() (int, error), func(int) (bool, error)) {
			return func() (int, error) {
					asked++
					if asked == at+1 {
						return 0, broken
					}
					return asked, nil
				}, func(int) (bool, error) {
					return true, nil
				}
		})
		var got string
		for n, err := range pages {
			got += fmt.Sprint(n, err, ";")
		}
		if want := strings.Repeat("1 <nil>;", at) + "0 broken;"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
