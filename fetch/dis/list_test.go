package dis

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
)

// A log is a service whose dump task delivered files of those numbers, newest
// first, a minute apart.
type log struct {
	files  []int
	most   int                   // rows that a page has, however many are asked for; 0: as many
	total  func(page, n int) any // the total that a page gives, of n rows; nil: n
	before func(page int)        // called before a page is answered
	stuck  bool                  // every page is the first, whatever is asked for
	pages  int
}

// files returns n numbers, newest first.
func files(n int) (numbers []int) {
	for i := range n {
		numbers = append(numbers, n-i)
	}
	return numbers
}

const firstStart = 1_756_500_000_000

func started(number int) time.Time {
	return time.UnixMilli(firstStart).Add(time.Duration(number) * time.Minute)
}

func (s *log) RoundTrip(req *http.Request) (*http.Response, error) {
	var asked pageRequest
	if err := json.NewDecoder(req.Body).Decode(&asked); err != nil || asked.Order != "desc" || s.pages > 200 {
		return nil, fmt.Errorf("call %d: %+v, %w", s.pages, asked, err)
	}
	size := asked.PageInfo.Size
	if s.most > 0 {
		size = min(size, s.most)
	}
	return fetchtest.Answering(200, s.page((asked.PageInfo.Index-1)*size, size))(req)
}

func (s *log) page(offset, size int) string {
	s.pages++
	if s.before != nil {
		s.before(s.pages)
	}
	if s.stuck {
		offset = 0
	}
	results := []map[string]any{}
	for _, number := range s.files[min(offset, len(s.files)):min(offset+size, len(s.files))] {
		start := started(number).UnixMilli()
		results = append(results, map[string]any{
			"state": 0, "startTime": start, "endTime": start + 1000, "transferFileName": fmt.Sprintf("%s.s.0.%d", taskID, start+10),
		})
	}
	answer := map[string]any{"errorCode": -1, "totalNum": len(s.files), "transferTaskLogList": results}
	if s.total != nil {
		answer["totalNum"] = s.total(s.pages, len(s.files))
	}
	b, _ := json.Marshal(answer)
	return string(b)
}

func parsePlace(t testing.TB, s string) fetch.Ref {
	t.Helper()
	place, err := fetch.ParsePlace(s)
	if err != nil {
		t.Fatal(err)
	}
	return place
}

// listed returns the numbers of the listed files in their order, up to an error.
func listed(t testing.TB, p *Provider, since time.Time) (numbers []int, err error) {
	t.Helper()
	for file, err := range p.List(t.Context(), parsePlace(t, placeRef), since) {
		if err != nil {
			return numbers, err
		}
		if file.State != fetch.Ready || file.Status != "state 0" || file.Ref.Scheme() != "dis" {
			t.Errorf("got %+v", file)
		}
		numbers = append(numbers, int(file.Created.Sub(started(0))/time.Minute))
	}
	return numbers, nil
}

func always(total any) func(int, int) any { return func(int, int) any { return total } }

func TestEachFileIsNamedOnceHoweverPagesShift(t *testing.T) {
	const before = 250 // files at the first call
	for _, c := range []struct {
		name   string
		change func(*log)
		pages  int
	}{
		{"three pages", func(*log) {}, 3},
		{"a page that is full to the last", func(s *log) { s.files = files(200) }, 3},
		{"one page", func(s *log) { s.files = files(99) }, 1},
		{"no row", func(s *log) { s.files = nil }, 1},
		{"pages smaller than asked for", func(s *log) { s.most = 10 }, 25},
		{"no total", func(s *log) { s.total = always(nil) }, 4},
		{"a total in words", func(s *log) { s.total = always("many") }, 4},
		{"a total of too many", func(s *log) { s.total = always(1 << 40) }, 4},
		{"a total of too few", func(s *log) { s.total = always(100) }, 3},
		{"files that come", func(s *log) {
			s.before = func(page int) {
				if page > 1 {
					s.files = slices.Insert(s.files, 0, 1000+page)
				}
			}
		}, 3},
		{"a pageful of files that come", func(s *log) {
			s.before = func(page int) {
				if page == 2 {
					s.files = append(files(350)[:100:100], s.files...)
				}
			}
		}, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &log{files: files(before)}
			c.change(s)
			want := slices.Clone(s.files)
			got, err := listed(t, provider(s.RoundTrip), time.Time{})
			if diff := cmp.Diff(want, got); diff != "" || err != nil || s.pages != c.pages {
				t.Errorf("%v on %d pages, want %d; files (-want +got)\n%s", err, s.pages, c.pages, diff)
			}
		})
	}
}

func TestTheSamePageAgainAndAgainIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, total := range []any{250, 100, nil} {
			s := &log{files: files(250), stuck: true, total: always(total)}
			got, err := listed(t, provider(s.RoundTrip), time.Time{})
			if len(got) != 100 || errors.Is(err, fetch.ErrRefused) != (total == 250) || s.pages > 5 {
				t.Errorf("of %v: got %d files, %v after %d pages", total, len(got), err, s.pages)
			}
		}
	})
}

func TestAListingEndsBehindTheFirstOlderPage(t *testing.T) {
	s := &log{files: files(1000)}
	got, err := listed(t, provider(s.RoundTrip), started(850).Add(500*time.Millisecond))
	if err != nil || len(got) != 151 || got[150] != 850 || s.pages != 3 {
		t.Errorf("got %d files to %d, %v on %d pages", len(got), got[len(got)-1], err, s.pages)
	}
}

func TestAListingIsAskedForAsItIsRangedOver(t *testing.T) {
	s := &log{files: files(1000)}
	for range provider(s.RoundTrip).List(t.Context(), parsePlace(t, placeRef), time.Time{}) {
		break
	}
	if s.pages != 1 {
		t.Errorf("%d pages", s.pages)
	}
}

func TestAFileThatIsFarBackIsFoundAndTheRestRemembered(t *testing.T) {
	s := &log{files: files(1000)}
	store := &bucket{}
	p := provider(func(req *http.Request) (*http.Response, error) {
		if strings.HasPrefix(req.URL.Path, "/v2/") {
			return nil, io.ErrUnexpectedEOF
		}
		return s.RoundTrip(req)
	})
	p.Objects = store.list
	for _, number := range []int{1, 500, 1000} {
		ref := fmt.Sprintf("%s%s.s.0.%d", placeRef, taskID, started(number).UnixMilli()+10)
		_, err := p.Export(t.Context(), parseRef(t, ref))
		if !errors.Is(err, fetch.ErrRefused) || !strings.Contains(err.Error(), "no project") || s.pages != 10 {
			t.Errorf("%d: got %v after %d pages", number, err, s.pages)
		}
	}
}

func TestAPageIsRetriedAfterATemporaryFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &log{files: files(250)}
		calls := 0
		p := provider(func(req *http.Request) (*http.Response, error) {
			if calls++; calls == 2 {
				return fetchtest.Answering(429, "")(req)
			}
			return s.RoundTrip(req)
		})
		if got, err := listed(t, p, time.Time{}); err != nil || len(got) != 250 || calls != 4 {
			t.Errorf("got %d files, %v after %d calls", len(got), err, calls)
		}
	})
}

func TestNamesThatNoReferenceCanHoldAreOneErrorAtTheEnd(t *testing.T) {
	row := func(name string) string {
		return `{"state":2,"endTime":5,"num":"` + name + `","transferFileName":"` + name + `"}`
	}
	p := answering(200, `{"totalNum":4,"transferTaskLogList":[`+row("a/b")+`,`+row("good")+`,`+row("")+`,`+row(`\u0007`)+`]}`)
	var got []string
	for file, err := range p.List(t.Context(), parsePlace(t, placeRef), time.Time{}) {
		if err != nil {
			got = append(got, err.Error())
			continue
		}
		got = append(got, fmt.Sprint(file.Ref, " ", file.State, " ", file.Status))
	}
	want := []string{placeRef + "good failed state 2", logCall + `: refused by the source: names of files that no reference can hold (3): "a/b", "", "\a"`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got)\n%s", diff)
	}
}

func TestAPlaceOfAnotherServiceIsRefusedWithoutACall(t *testing.T) {
	p := provider(func(*http.Request) (*http.Response, error) {
		t.Error("it was asked for")
		return nil, io.ErrUnexpectedEOF
	})
	for _, place := range []fetch.Ref{parsePlace(t, "foreign://region/place/"), parseRef(t, fileRef)} {
		for _, err := range p.List(t.Context(), place, time.Time{}) {
			if err == nil || !strings.Contains(err.Error(), "not a place of DIS") {
				t.Errorf("got %v", err)
			}
		}
	}
	if _, err := p.Export(t.Context(), parsePlace(t, placeRef)); err == nil || !strings.Contains(err.Error(), "not a reference to a file of a DIS dump task") {
		t.Errorf("export of a place: got %v", err)
	}
}
