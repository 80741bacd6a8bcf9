package sls

import (
	"bufio"
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

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/fetch/sandbox"
)

func parsePlace(t testing.TB, s string) fetch.Ref {
	t.Helper()
	place, err := fetch.ParsePlace(s)
	if err != nil {
		t.Fatal(err)
	}
	return place
}

const placeRef = "sls://cn-hangzhou/ali-test-project/"

// list returns the names of the listed jobs in their order, up to an error.
func list(t testing.TB, p *Provider, since time.Time) (names []string, err error) {
	t.Helper()
	for job, err := range p.List(t.Context(), parsePlace(t, placeRef), since) {
		if err != nil {
			return names, err
		}
		names = append(names, job.Ref.Parts()[2])
	}
	return names, nil
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

func replayList(t *testing.T, name string) {
	replay(t, name, func(p *Provider) string {
		var b strings.Builder
		for job, err := range p.List(t.Context(), parsePlace(t, placeRef), time.Time{}) {
			if err != nil {
				b.WriteString(fetchtest.Describe(t, nil, err))
				continue
			}
			fmt.Fprintf(&b, "%s %q %q %s\n", job.Ref, job.State, job.Status, job.Created.Format(time.RFC3339))
		}
		return b.String()
	})
}

// replay answers with the recorded answers of a file, one after the other, and compares what
// is made of them with what the file wants.
func replay(t *testing.T, name string, ask func(*Provider) string) {
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	want, answers := "", slices.Clone(archive.Files)
	if last := len(answers) - 1; answers[last].Name == "want" {
		want, answers = string(answers[last].Data), answers[:last]
	}
	made := 0
	got := ask(provider(func(req *http.Request) (*http.Response, error) {
		if made++; made > len(answers) {
			return nil, errors.New("nothing more is recorded")
		}
		return http.ReadResponse(bufio.NewReader(strings.NewReader(string(answers[made-1].Data))), req)
	}))
	if strings.Contains(got, "canary") || made != len(answers) {
		t.Errorf("%d calls, %s", made, got)
	}
	if *fetchtest.Update {
		archive.Files = append(archive.Files[:len(answers):len(answers)], txtar.File{Name: "want", Data: []byte(got)})
		if err := os.WriteFile(name, txtar.Format(archive), 0o666); err != nil {
			t.Fatal(err)
		}
	} else if got != want {
		t.Errorf("%sgot\n%s\nwant\n%s", archive.Comment, got, want)
	}
}

// A project is a service with jobs of those names, newest first.
type project struct {
	jobs   []string
	most   int                   // jobs on a page, however many are asked for
	total  func(page, n int) any // the total that a page gives, of n jobs; nil: n
	before func(page int)        // called before a page is answered
	stuck  bool                  // every page is the first, whatever the offset
	pages  int
}

// jobs returns n names, newest first.
func jobs(n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprint("job-", n-i))
	}
	return names
}

func (s *project) provider(t *testing.T) *Provider {
	return provider(func(req *http.Request) (*http.Response, error) {
		offset, err := strconv.Atoi(req.URL.Query().Get("offset"))
		if err != nil || req.URL.Query().Get("size") != "100" || req.URL.Path != "/downloadjobs" || s.pages > 200 {
			t.Errorf("call %d of %s", s.pages, req.URL)
			return nil, io.ErrUnexpectedEOF
		}
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(s.page(offset)))}, nil
	})
}

func (s *project) page(offset int) string {
	s.pages++
	if s.before != nil {
		s.before(s.pages)
	}
	if s.stuck {
		offset = 0
	}
	type job struct {
		Name   string `json:"name"`
		Status string `json:"status"`
	}
	results := []job{}
	for _, name := range s.jobs[min(offset, len(s.jobs)):min(offset+s.most, len(s.jobs))] {
		results = append(results, job{name, "SUCCEEDED"})
	}
	answer := map[string]any{"total": len(s.jobs), "count": len(results), "results": results}
	if s.total != nil {
		answer["total"] = s.total(s.pages, len(s.jobs))
	}
	b, _ := json.Marshal(answer)
	return string(b)
}

func always(total any) func(int, int) any { return func(int, int) any { return total } }

func TestEachJobIsNamedOnceHoweverPagesShift(t *testing.T) {
	const before = 250 // jobs at the first call
	for _, c := range []struct {
		name   string
		change func(*project)
		pages  int
	}{
		{"three pages", func(*project) {}, 3},
		{"a page that is full to the last", func(s *project) { s.jobs = jobs(200) }, 3},
		{"one page", func(s *project) { s.jobs = jobs(99) }, 1},
		{"pages smaller than asked for", func(s *project) { s.most = 60 }, 5},
		{"pages larger than asked for", func(s *project) { s.most = 200 }, 2},
		{"no total", func(s *project) { s.total = always(nil) }, 4},
		{"a total in words", func(s *project) { s.total = always("many") }, 4},
		{"a total of none", func(s *project) { s.total = always(0) }, 4},
		{"a total of one page", func(s *project) { s.total = always(100) }, 4},
		{"a total of too many", func(s *project) { s.total = always(1 << 40) }, 4},
		{"a total of no int", func(s *project) { s.total = always("9223372036854775808") }, 4},
		{"a total that falls for no reason", func(s *project) { s.total = func(page, n int) any { return n + 1000 - page } }, 12},
		{"a total that goes up and down", func(s *project) { s.total = func(page, n int) any { return n * (page % 2) } }, 11},
		{"jobs that come", func(s *project) {
			s.before = func(page int) {
				if page > 1 {
					s.jobs = slices.Insert(s.jobs, 0, fmt.Sprint("new-", page), fmt.Sprint("newer-", page))
				}
			}
		}, 3},
		{"a pageful of jobs that come", func(s *project) {
			s.before = func(page int) {
				if page == 2 {
					s.jobs = append(jobs(350)[:100], s.jobs...)
				}
			}
		}, 4},
		{"new jobs that go", func(s *project) {
			s.before = func(page int) {
				if page == 2 {
					s.jobs = s.jobs[60:]
				}
			}
		}, 4},
		{"jobs that go until a page is empty", func(s *project) {
			s.jobs = jobs(150)
			s.before = func(page int) {
				if page == 2 {
					s.jobs = s.jobs[60:]
				}
			}
		}, 3},
		{"old jobs that go with every page", func(s *project) {
			s.before = func(page int) { s.jobs = s.jobs[:len(s.jobs)-1] }
		}, 9},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &project{jobs: jobs(before), most: 100}
			c.change(s)
			wanted := slices.Clone(s.jobs)
			got, err := list(t, s.provider(t), time.Time{})
			if err != nil || s.pages != c.pages {
				t.Errorf("got %v after %d pages, want %d", err, s.pages, c.pages)
			}
			named := map[string]int{}
			for _, name := range got {
				if named[name]++; named[name] > 1 {
					t.Errorf("%s is named twice", name)
				}
			}
			for _, name := range wanted {
				if named[name] == 0 && slices.Contains(s.jobs, name) {
					t.Errorf("%s is not named", name)
				}
			}
		})
	}
}

func TestAListingThatRepeatsJobsEnds(t *testing.T) {
	for _, c := range []struct {
		name  string
		total any
		err   string
	}{
		{"and all were named", 100, ""},
		{"and doesn't say how many there are", nil, ""},
		{"and there is more", 250, "ListDownloadJobs: refused by the source: HTTP 200: the same 100 jobs of 250 again and again"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &project{jobs: jobs(250), most: 100, total: always(c.total), stuck: true}
			got, err := list(t, s.provider(t), time.Time{})
			if len(got) != 100 || s.pages != 4 || c.err != "" && (err == nil || err.Error() != c.err) || c.err == "" && err != nil {
				t.Errorf("got %d jobs on %d pages, %v, want %s", len(got), s.pages, err, c.err)
			}
		})
	}
}

func TestPagesAreAskedForAsTheyAreNeeded(t *testing.T) {
	s := &project{jobs: jobs(250), most: 100}
	seen := 0
	for range s.provider(t).List(t.Context(), parsePlace(t, placeRef), time.Time{}) {
		if seen++; seen == 100 {
			break
		}
	}
	if s.pages != 1 {
		t.Errorf("%d pages for the jobs of one", s.pages)
	}
}

func TestSinceLeavesOutOlderJobs(t *testing.T) {
	const answer = `{"total":6,"results":[{"name":"new","createTime":"1722411060"},{"name":"old","createTime":"1722411059"},
		{"name":"number","createTime":1722411061},{"name":"unknown"},{"name":"nonsense","createTime":"yesterday"},{"name":"a/b","createTime":1}]}`
	at := time.Unix(1722411060, 999_999_999)
	for _, c := range []struct {
		name  string
		since time.Time
		want  []string
	}{
		{"to the second", at, []string{"new", "number", "unknown", "nonsense"}},
		{"of another zone", at.In(time.FixedZone("", 3600)), []string{"new", "number", "unknown", "nonsense"}},
		{"of what is to come", at.Add(time.Hour), []string{"unknown", "nonsense"}},
	} {
		got, err := list(t, answering(200, answer), c.since)
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v; jobs (-want +got)\n%s", c.name, err, diff)
		}
	}
	if got, err := list(t, answering(200, answer), time.Time{}); len(got) != 5 || err == nil || !strings.Contains(err.Error(), `(1): "a/b"`) {
		t.Errorf("since ever: got %q, %v", got, err)
	}
}

func TestAnErrorShowsAtMostTenNames(t *testing.T) {
	var b strings.Builder
	for i := range 12 {
		fmt.Fprintf(&b, `,{"name":"a/%d"}`, i)
	}
	_, err := list(t, answering(200, `{"total":12,"results":[`+b.String()[1:]+`]}`), time.Time{})
	if err == nil || !strings.Contains(err.Error(), `(12): "a/0", `) || !strings.HasSuffix(err.Error(), `"a/9", …`) || !errors.Is(err, fetch.ErrRefused) {
		t.Errorf("got %v", err)
	}
}

func TestAThrottledListingWaitsAsLongAsTheServiceAsks(t *testing.T) {
	throttle := func(n int, after string) *Provider {
		s := &project{jobs: jobs(250), most: 100}
		p := s.provider(t)
		inner := p.Client.Transport
		p.Client = &http.Client{Transport: transport(func(req *http.Request) (*http.Response, error) {
			if req.URL.Query().Get("offset") == "100" && n > 0 {
				n--
				return answered(403, `{"errorCode":"MetaOperationQpsLimitExceeded"}`, "Retry-After", after), nil
			}
			return inner.RoundTrip(req)
		})}
		return p
	}
	for _, c := range []struct {
		name  string
		times int
		after string
		jobs  int
		took  time.Duration
		err   error
	}{
		{"once", 1, "7", 250, 7 * time.Second, nil},
		{"with waits of our own", 4, "", 250, 7500 * time.Millisecond, nil},
		{"but not for hours", 1, "7200", 100, 0, fetch.ErrThrottled},
		{"and not for ever", 5, "", 100, 7500 * time.Millisecond, fetch.ErrThrottled},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := throttle(c.times, c.after)
				began := time.Now()
				got, err := list(t, p, time.Time{})
				if took := time.Since(began); len(got) != c.jobs || !errors.Is(err, c.err) || took != c.took {
					t.Errorf("got %d jobs after %v, %v", len(got), took, err)
				}
			})
		})
	}
}

func TestAPageOfLongQueriesIsRead(t *testing.T) {
	var b strings.Builder
	for i := range pageSize {
		fmt.Fprintf(&b, `,{"name":"job-%d","configuration":{"query":"%s"}}`, i, strings.Repeat("x", 15_000))
	}
	got, err := list(t, answering(200, `{"total":"100","results":[`+b.String()[1:]+`]}`), time.Time{})
	if len(got) != pageSize || err != nil {
		t.Errorf("got %d jobs, %v", len(got), err)
	}
}

func TestOnlyAPlaceOfSLSIsListed(t *testing.T) {
	p := provider(func(*http.Request) (*http.Response, error) {
		t.Error("a call is made")
		return nil, io.EOF
	})
	for _, place := range []fetch.Ref{parseRef(t, jobRef), parsePlace(t, "foreign://region/place/"), parseRef(t, "oss://b/"), {}} {
		for job, err := range p.List(t.Context(), place, time.Time{}) {
			if err == nil || !strings.Contains(err.Error(), "not a place of SLS") {
				t.Errorf("%s: got %+v, %v", place, job, err)
			}
		}
	}
	if _, err := p.Export(t.Context(), parsePlace(t, placeRef)); err == nil || !strings.Contains(err.Error(), "not a reference to an SLS job") {
		t.Errorf("export of a place: got %v", err)
	}
}

func TestAProjectOfTheSandboxIsListed(t *testing.T) {
	cloud := sandbox.New(sandbox.Options{AccessKeyID: "LTAIid", AccessKeySecret: "SECRETcanary", SecurityToken: "CAISTOKENcanary=="})
	first := time.Now().Add(-time.Hour).Truncate(time.Second)
	for i, name := range slices.Backward(jobs(230)) {
		cloud.AddJob("ali-test-project", sandbox.Job{Name: name, CreateTime: first.Add(time.Duration(229-i) * time.Second), Statuses: []string{sandbox.JobRunning}})
	}
	url, stop, err := cloud.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	for _, version := range []string{"v4", "v1", "v1-sha1"} {
		p := &Provider{Client: &http.Client{Transport: new(http.Transport)}, Keys: StaticKeys("LTAIid", "SECRETcanary", "CAISTOKENcanary=="), Endpoint: url, Signature: version}
		got, err := list(t, p, first.Add(10*time.Second))
		if diff := cmp.Diff(jobs(230)[:220], got); diff != "" || err != nil {
			t.Errorf("signed with %s: %v; jobs (-want +got)\n%s", version, err, diff)
		}
		p.Client.CloseIdleConnections()
	}
}
