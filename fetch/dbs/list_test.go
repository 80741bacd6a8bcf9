package dbs

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
)

func parsePlace(t testing.TB, s string) fetch.Ref {
	t.Helper()
	place, err := fetch.ParsePlace(s)
	if err != nil {
		t.Fatal(err)
	}
	return place
}

// list returns the IDs of the listed tasks in their order, up to an error.
func list(t testing.TB, p *Provider, since time.Time) (ids []string, err error) {
	t.Helper()
	for task, err := range p.List(t.Context(), parsePlace(t, placeRef), since) {
		if err != nil {
			return ids, err
		}
		ids = append(ids, task.Ref.Parts()[2])
	}
	return ids, nil
}

func TestRecordedLists(t *testing.T) {
	files, err := filepath.Glob("testdata/list/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no recorded answers", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { replayList(t, file) })
		})
	}
}

// replayList answers with the recorded answers of a file, one after the other,
// and then with pages that have no tasks.
func replayList(t *testing.T, name string) {
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	want, answers := "", slices.Clone(archive.Files)
	if last := len(answers) - 1; answers[last].Name == "want" {
		want, answers = string(answers[last].Data), answers[:last]
	}
	made := 0
	p := provider(func(req *http.Request) (*http.Response, error) {
		made++
		return http.ReadResponse(bufio.NewReader(bytes.NewReader(answers[made-1].Data)), req)
	})
	var b strings.Builder
	for task, err := range p.List(t.Context(), parsePlace(t, placeRef), time.Time{}) {
		if err != nil {
			b.WriteString(fetchtest.Describe(t, nil, err))
			continue
		}
		fmt.Fprintf(&b, "%s %q %q %s\n", task.Ref, task.State, task.Status, task.Created.Format(time.RFC3339))
	}
	if strings.Contains(b.String(), "canary") || made != len(answers) {
		t.Errorf("%d calls, %s", made, b.String())
	}
	if *fetchtest.Update {
		archive.Files = append(answers[:len(answers):len(answers)], txtar.File{Name: "want", Data: []byte(b.String())})
		if err := os.WriteFile(name, txtar.Format(archive), 0o666); err != nil {
			t.Fatal(err)
		}
	} else if b.String() != want {
		t.Errorf("%sgot\n%s\nwant\n%s", archive.Comment, b.String(), want)
	}
}

// An instance is a service with tasks of those IDs, newest first, each a second
// older than the one before.
type instance struct {
	tasks    []string
	most     int                   // tasks that a page has, however many are asked for
	totals   func(page, n int) any // the TotalElements that a page gives, of n tasks; nil: n
	pageless bool                  // no page gives TotalPages
	before   func(page int)        // called before a page is answered
	stuck    bool                  // every page is the first, whatever is asked for
	clamped  bool                  // behind the last page comes the last page again
	pages    int
}

// ids returns n of them, newest first.
func ids(n int) (ids []string) {
	for i := range n {
		ids = append(ids, fmt.Sprint("dt-", n-i))
	}
	return ids
}

func (s *instance) provider(t *testing.T) *Provider {
	return provider(func(req *http.Request) (*http.Response, error) {
		query := req.URL.Query()
		number, err := strconv.Atoi(query.Get("CurrentPage"))
		if err != nil || number < 1 || query.Get("PageSize") != "50" || s.pages > 200 {
			t.Errorf("call %d of %s", s.pages, req.URL)
			return nil, io.ErrUnexpectedEOF
		}
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(s.page(number)))}, nil
	})
}

func (s *instance) page(number int) string {
	s.pages++
	if s.before != nil {
		s.before(s.pages)
	}
	all := (len(s.tasks) + s.most - 1) / s.most
	switch {
	case s.stuck:
		number = 1
	case s.clamped:
		number = min(number, all)
	}
	results, from := []map[string]string{}, min((number-1)*s.most, len(s.tasks))
	for _, id := range s.tasks[from:min(from+s.most, len(s.tasks))] {
		results = append(results, map[string]string{"TaskId": id, "DownloadStatus": "finished"})
	}
	data := map[string]any{"TotalElements": len(s.tasks), "TotalPages": all, "Content": map[string]any{"List": results}}
	if s.totals != nil {
		data["TotalElements"] = s.totals(s.pages, len(s.tasks))
	}
	if s.pageless {
		delete(data, "TotalPages")
	}
	b, _ := json.Marshal(map[string]any{"Success": "true", "Data": data})
	return string(b)
}

func always(total any) func(int, int) any { return func(int, int) any { return total } }

func TestEachTaskIsNamedOnceHoweverPagesShift(t *testing.T) {
	const before = 130 // tasks at the first call
	for _, c := range []struct {
		name   string
		change func(*instance)
		pages  int
	}{
		{"three pages", func(*instance) {}, 3},
		{"a page that is full to the last", func(s *instance) { s.tasks = ids(100) }, 3},
		{"one page", func(s *instance) { s.tasks = ids(49) }, 1},
		{"pages smaller than asked for", func(s *instance) { s.most = 10 }, 13},
		{"pages larger than asked for", func(s *instance) { s.most = 100 }, 2},
		{"no total of pages", func(s *instance) { s.pageless = true }, 3},
		{"no total of tasks", func(s *instance) { s.totals = always(nil) }, 4},
		{"no total at all", func(s *instance) { s.pageless, s.totals = true, always(nil) }, 4},
		{"no total at all, and small pages", func(s *instance) { s.pageless, s.totals, s.most = true, always(nil), 10 }, 14},
		{"a total in words", func(s *instance) { s.totals = always("many") }, 4},
		{"a total of none", func(s *instance) { s.totals = always(0) }, 4},
		{"a total that leaves out some kinds of tasks", func(s *instance) { s.totals, s.most = always(10), 10 }, 14},
		{"a total of too many", func(s *instance) { s.totals = always(1 << 40) }, 4},
		{"a total that falls for no reason", func(s *instance) { s.totals = func(page, n int) any { return n + 1000 - page } }, 12},
		{"tasks that come", func(s *instance) {
			s.before = func(page int) {
				if page > 1 {
					s.tasks = slices.Insert(s.tasks, 0, fmt.Sprint("new-", page), fmt.Sprint("newer-", page))
				}
			}
		}, 3},
		{"a pageful of tasks that come", func(s *instance) {
			s.before = func(page int) {
				if page == 2 {
					s.tasks = append(ids(180)[:50], s.tasks...)
				}
			}
		}, 4},
		{"new tasks that go", func(s *instance) {
			s.before = func(page int) {
				if page == 2 {
					s.tasks = s.tasks[30:]
				}
			}
		}, 6},
		{"tasks that go until a page is empty", func(s *instance) {
			s.tasks = ids(80)
			s.before = func(page int) {
				if page == 2 {
					s.tasks = s.tasks[40:]
				}
			}
		}, 3},
		{"old tasks that go with every page", func(s *instance) {
			s.before = func(page int) { s.tasks = s.tasks[:len(s.tasks)-1] }
		}, 9},
		{"the last page again and again", func(s *instance) { s.clamped, s.totals = true, always(nil) }, 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &instance{tasks: ids(before), most: 50}
			c.change(s)
			wanted := slices.Clone(s.tasks)
			got, err := list(t, s.provider(t), time.Time{})
			if err != nil || s.pages != c.pages {
				t.Errorf("got %v after %d pages, want %d", err, s.pages, c.pages)
			}
			named := map[string]int{}
			for _, id := range got {
				if named[id]++; named[id] > 1 {
					t.Errorf("%s is named twice", id)
				}
			}
			for _, id := range wanted {
				if named[id] == 0 && slices.Contains(s.tasks, id) {
					t.Errorf("%s is not named", id)
				}
			}
		})
	}
}

func TestATaskIsFoundHoweverPagesShift(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*instance)
		pages  int
	}{
		{"on the page it was on", func(*instance) {}, 3},
		{"on the next, where tasks come", func(s *instance) {
			s.before = func(page int) {
				if page == 2 {
					s.tasks = append(ids(180)[:50], s.tasks...)
				}
			}
		}, 4},
		{"on the one before, where tasks go", func(s *instance) {
			s.before = func(page int) {
				if page == 3 {
					s.tasks = s.tasks[40:]
				}
			}
		}, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &instance{tasks: ids(130), most: 50}
			c.change(s)
			p := s.provider(t)
			if _, err := p.find(t.Context(), parseRef(t, placeRef+"dt-20")); err != nil || s.pages != c.pages {
				t.Errorf("got %v after %d pages, want %d", err, s.pages, c.pages)
			}
			_, err := p.find(t.Context(), parseRef(t, placeRef+"dt-none"))
			if !errors.Is(err, fetch.ErrNotFound) || !strings.Contains(err.Error(), "instance rm-bp1imnmcjxdz7 has no download task dt-none") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAListingThatRepeatsTasksEnds(t *testing.T) {
	for _, c := range []struct {
		name  string
		total any
		err   string
	}{
		{"and all were named", 50, ""},
		{"and doesn't say how many there are", nil, ""},
		{"and there is more", 130, tasksCall + ": refused by the source: HTTP 200: the same 50 tasks of 130 again and again"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &instance{tasks: ids(130), most: 50, totals: always(c.total), stuck: true}
			got, err := list(t, s.provider(t), time.Time{})
			if len(got) != 50 || s.pages != 4 || c.err != "" && (err == nil || err.Error() != c.err) || c.err == "" && err != nil {
				t.Errorf("got %d tasks on %d pages, %v, want %s", len(got), s.pages, err, c.err)
			}
		})
	}
}

func TestPagesAreAskedForAsTheyAreNeeded(t *testing.T) {
	s := &instance{tasks: ids(130), most: 50}
	seen := 0
	for range s.provider(t).List(t.Context(), parsePlace(t, placeRef), time.Time{}) {
		if seen++; seen == 50 {
			break
		}
	}
	if s.pages != 1 {
		t.Errorf("%d pages for the tasks of one", s.pages)
	}
}

// dated returns a provider with pages of tasks that were created at those times
// and are named after them. The totals claim that there are more.
func dated(pages ...[]string) (p *Provider, calls *int) {
	calls = new(int)
	return provider(func(req *http.Request) (*http.Response, error) {
		var tasks []string
		for _, created := range pages[min(*calls, len(pages)-1)] {
			tasks = append(tasks, fmt.Sprintf(`{"TaskId":"dt-%s","GmtCreate":%q}`, strings.NewReplacer(" ", "", ".", "").Replace(created), created))
		}
		*calls++
		return fetchtest.Answering(200, `{"Success":"true","Data":{"TotalElements":1000,"TotalPages":100,"Content":[`+strings.Join(tasks, ",")+`]}}`)(req)
	}), calls
}

func TestSinceEndsTheListingWhereTasksAreOlder(t *testing.T) {
	since := time.UnixMilli(1663321957999)
	for _, c := range []struct {
		name  string
		pages [][]string
		want  []string
		calls int
	}{
		{"in the midst of a page", [][]string{{"1663321958000", "1663321957000", "1663321956999"}, {"1663321950000"}}, []string{"dt-1663321958000", "dt-1663321957000"}, 1},
		{"at the start of a page", [][]string{{"1663321958000"}, {"1663321956000"}, {"1663321950000"}}, []string{"dt-1663321958000"}, 2},
		{"with tasks of unknown age", [][]string{{"", "1663321958000", "yesterday", "1663321956000"}, {"1663321950000"}}, []string{"dt-", "dt-1663321958000", "dt-yesterday"}, 1},
		{"but for tasks of unknown age alone", [][]string{{"yesterday"}, {}}, []string{"dt-yesterday"}, 2},
		{"but not in a service that keeps no order", [][]string{{"1663321955000", "1663321956000"}, {"1663321958000"}, {}}, []string{"dt-1663321958000"}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, calls := dated(c.pages...)
			got, err := list(t, p, since)
			if err != nil && !strings.Contains(err.Error(), "no reference can hold") || *calls != c.calls {
				t.Errorf("got %v after %d calls, want %d", err, *calls, c.calls)
			}
			want := slices.DeleteFunc(slices.Clone(c.want), func(id string) bool { return id == "dt-" })
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("tasks (-want +got)\n%s", diff)
			}
		})
	}
}

func TestAnErrorShowsAtMostTenIDs(t *testing.T) {
	var tasks []string
	for i := range 12 {
		tasks = append(tasks, fmt.Sprintf(`{"TaskId":"a/%d"}`, i))
	}
	_, err := list(t, answering(listed(tasks...), listed()), time.Time{})
	if err == nil || !strings.Contains(err.Error(), `(12): "a/0", `) || !strings.HasSuffix(err.Error(), `"a/9", …`) || !errors.Is(err, fetch.ErrRefused) {
		t.Errorf("got %v", err)
	}
}

// throttled returns a provider of 130 tasks that is throttled that many times at
// the page of that number.
func throttled(t *testing.T, page string, times int, left string) *Provider {
	s := &instance{tasks: ids(130), most: 50}
	p := s.provider(t)
	inner := p.Client.Transport
	p.Client = &http.Client{Transport: transport(func(req *http.Request) (*http.Response, error) {
		if req.URL.Query().Get("CurrentPage") == page && times > 0 {
			times--
			return fetchtest.Answering(400, `{"Code":"Throttling.User"}`, "x-ratelimit-user-api", "Limit:1,Remain:0,TimeLeft:"+left)(req)
		}
		return inner.RoundTrip(req)
	})}
	return p
}

func TestAThrottledListingWaits(t *testing.T) {
	for _, c := range []struct {
		name  string
		times int
		left  string
		tasks int
		took  time.Duration
		err   error
	}{
		{"once", 1, "7000", 130, 7 * time.Second, nil},
		{"with waits of our own", 4, "", 130, 7500 * time.Millisecond, nil},
		{"but not for hours", 1, "7200000", 50, 0, fetch.ErrThrottled},
		{"and not for ever", 5, "", 50, 7500 * time.Millisecond, fetch.ErrThrottled},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := throttled(t, "2", c.times, c.left)
				began := time.Now()
				got, err := list(t, p, time.Time{})
				if took := time.Since(began); len(got) != c.tasks || !errors.Is(err, c.err) || took != c.took {
					t.Errorf("got %d tasks after %v, %v", len(got), took, err)
				}
			})
		})
	}
}

func TestAThrottleOfOneTaskIsReturnedAtOnce(t *testing.T) {
	for _, c := range []struct {
		page string
		took time.Duration
		err  error
	}{{"1", 0, fetch.ErrThrottled}, {"3", 700 * time.Millisecond, nil}} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			_, err := throttled(t, c.page, 1, "700").find(t.Context(), parseRef(t, placeRef+"dt-1"))
			if took := time.Since(began); !errors.Is(err, c.err) || took != c.took {
				t.Errorf("page %s: got %v after %v", c.page, err, took)
			}
			if c.err != nil && fetch.RetryAfter(err) != 700*time.Millisecond {
				t.Errorf("page %s: wait for %v", c.page, fetch.RetryAfter(err))
			}
		})
	}
}

func TestAPageOfLongListsOfDatabasesIsRead(t *testing.T) {
	var tasks []string
	for i := range pageSize {
		tasks = append(tasks, fmt.Sprintf(`{"TaskId":"dt-%d","DbList":"%s"}`, i, strings.Repeat("db,", 20_000)))
	}
	got, err := list(t, answering(listed(tasks...), listed()), time.Time{})
	if len(got) != pageSize || err != nil {
		t.Errorf("got %d tasks, %v", len(got), err)
	}
}

func TestAnAnswerIsReadToALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := list(t, answering(listed(`{"DbList":"`+strings.Repeat("x", 9<<20)+`"}`)), time.Time{})
		if !errors.Is(err, fetch.ErrTemporary) || !strings.Contains(err.Error(), "longer than") {
			t.Errorf("got %v", err)
		}
	})
}

func TestOnlyAPlaceOfDBSIsListed(t *testing.T) {
	p := provider(func(*http.Request) (*http.Response, error) {
		t.Error("a call is made")
		return nil, io.EOF
	})
	for _, place := range []fetch.Ref{parseRef(t, taskRef), parsePlace(t, "foreign://region/place/"), parseRef(t, "oss://b/"), {}} {
		for task, err := range p.List(t.Context(), place, time.Time{}) {
			if err == nil || !strings.Contains(err.Error(), "not a place of DBS") {
				t.Errorf("%s: got %+v", place, task)
			}
		}
	}
	if _, err := p.Export(t.Context(), parsePlace(t, placeRef)); err == nil || !strings.Contains(err.Error(), "not a reference to a DBS download task") {
		t.Errorf("export of a place: got %v", err)
	}
}
