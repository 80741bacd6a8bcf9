package main

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/config"
	"tallyman/fetch"
	"tallyman/verify/archive"
	"tallyman/verify/archive/ledger"
	"tallyman/worker"
)

const watchedPlace = "sls://cn-hangzhou/ali-test-project/"

// watchedLine is a line of the ledger of a job of watchedPlace.
func watchedLine(kind ledger.Kind, job string, change func(*ledger.Line)) ledger.Line {
	l := ledger.Line{Kind: kind, Ref: watchedPlace + job, Key: strings.Replace(watchedPlace, "://", "/", 1) + job}
	if kind == ledger.Landed {
		l.Bytes, l.Records, l.Bag = 1000, 10, strings.Repeat("0", 64)
	}
	if change != nil {
		change(&l)
	}
	return l
}

// newWatched returns an app with an archive whose ledger tells of one export that landed,
// one with a doubt, two that failed, and one that waits.
func newWatched(t *testing.T) (*app, *archive.Archive) {
	t.Helper()
	a := &app{Options: config.New(providerNames)}
	a.Archive, a.CacheDir = filepath.Join(t.TempDir(), "archive"), t.TempDir()
	store, err := archive.Open(a.Archive, "", archive.SiteAbsent)
	if err != nil {
		t.Fatal(err)
	}
	failed := func(l *ledger.Line) { l.Cause, l.Message = "job-failed", "the job failed: it's <b>broken</b>" }
	err = store.Ledger().Append(
		watchedLine(ledger.Landed, "good", nil),
		watchedLine(ledger.Landed, "doubted", func(l *ledger.Line) { l.Doubts = []string{"count-mismatch: 9 records, the job promised 10"} }),
		watchedLine(ledger.Asked, "bad1", nil), watchedLine(ledger.Failed, "bad1", failed),
		watchedLine(ledger.Asked, "bad2", nil), watchedLine(ledger.Failed, "bad2", failed),
		watchedLine(ledger.Asked, "slow", nil),
	)
	if err != nil {
		t.Fatal(err)
	}
	return a, store
}

// newWatching returns what serves the page and metrics of an archive, with nobody listening.
func newWatching(t *testing.T, a *app, store *archive.Archive, isWorker bool) *webServer {
	t.Helper()
	a.Listen = "127.0.0.1:0"
	return serving(t, a, store, isWorker)
}

// serving returns what serves at the address of an app.
func serving(t *testing.T, a *app, store *archive.Archive, isWorker bool) *webServer {
	t.Helper()
	cmd := &cobra.Command{}
	cmd.SetContext(t.Context())
	s, err := a.listen(cmd, store, isWorker, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

// get asks a handler, as a browser on this machine does.
func get(t *testing.T, h http.Handler, path string, change func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	r.Host = "127.0.0.1:8410"
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// The metrics of places and causes are exactly what the ledger tells: nothing else, nothing
// twice, and no job is a label.
func TestMetricsAreThoseOfTheLedger(t *testing.T) {
	t.Parallel()
	a, store := newWatched(t)
	place, err := fetch.ParsePlace(watchedPlace)
	if err != nil {
		t.Fatal(err)
	}
	hour := time.Now().Truncate(time.Hour).Unix() - 10*3600
	window := func(job string, from, to int64) ledger.Line {
		return watchedLine(ledger.Landed, job, func(l *ledger.Line) {
			l.Window = &ledger.Window{Group: windowGroup("access", ""), From: hour + from*3600, To: hour + to*3600}
		})
	}
	mismatch := watchedLine(ledger.Witnessed, "w1", func(l *ledger.Line) {
		l.Doubts = []string{"witness-mismatch: 10 records landed, and the source counts 11"}
	})
	if err := store.Ledger().Append(window("w1", 0, 1), mismatch, window("w2", 3, 4)); err != nil {
		t.Fatal(err)
	}
	const other = "dbs://cn-hangzhou/rm-1/"
	a.Schedule = []worker.ScheduleEntry{{Place: place, Every: time.Hour}}
	a.Expect = []config.Expectation{
		{Place: watchedPlace, LogStore: "access", Every: 24 * time.Hour, Grace: time.Hour},
		{Place: other, Every: time.Hour, Grace: time.Hour},
	}
	s := newWatching(t, a, store, true)
	said := get(t, s.handler(a, a.Listen, ""), "/metrics", nil).Body.String()
	var got []string
	for line := range strings.Lines(said) {
		if strings.HasPrefix(line, "tallyman_") && !strings.Contains(line, "tallyman_build_info") && !strings.Contains(line, "tallyman_disk_") {
			got = append(got, strings.TrimSpace(strings.Replace(line, `place="`+watchedPlace+`"`, "P", 1)))
		}
	}
	landed := slices.IndexFunc(got, func(line string) bool {
		return strings.HasPrefix(line, "tallyman_place_last_landed_timestamp_seconds{P} 1.")
	})
	if landed < 0 {
		t.Fatalf("nothing tells when something landed: %q", got)
	}
	want := []string{
		"tallyman_catalog_up 1",
		`tallyman_exports{P,state="absent"} 0`, `tallyman_exports{P,state="accepted"} 0`, `tallyman_exports{P,state="cancelled"} 0`, `tallyman_exports{P,state="damaged"} 0`,
		`tallyman_exports{P,state="failed"} 2`, `tallyman_exports{P,state="landed"} 4`, `tallyman_exports{P,state="waiting"} 1`,
		"tallyman_exports_ending{P} 0", "tallyman_exports_mismatched{P} 1", "tallyman_exports_with_doubts{P} 2", `tallyman_failed_exports{cause="job-failed"} 2`,
		"tallyman_landed_bytes{P} 4000", "tallyman_landed_records{P} 40", "tallyman_ledger_cut 0",
		"tallyman_place_gap_seconds{P} 7200", "tallyman_place_interval_seconds{P} 3600", "tallyman_place_late{P} 0", "tallyman_place_unlisted{P} 0",
	}
	for _, state := range []string{"absent", "accepted", "cancelled", "damaged", "failed", "landed", "waiting"} {
		want = append(want, `tallyman_exports{place="`+other+`",state="`+state+`"} 0`)
	}
	for _, rest := range []string{
		"tallyman_exports_ending{%} 0", "tallyman_exports_mismatched{%} 0", "tallyman_exports_with_doubts{%} 0", "tallyman_landed_bytes{%} 0", "tallyman_landed_records{%} 0",
		"tallyman_place_gap_seconds{%} 0", "tallyman_place_late{%} 1", "tallyman_place_unlisted{%} 0",
	} {
		want = append(want, strings.Replace(rest, "%", `place="`+other+`"`, 1))
	}
	slices.Sort(want)
	got = slices.Sorted(slices.Values(slices.Delete(got, landed, landed+1)))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A worker is ready while its archive can be written to and its Redis answers, or has been
// away for a short while; and no more once it was told to stop.
func TestAWorkerIsReadyWhileItCanWork(t *testing.T) {
	t.Parallel()
	a, store := newWatched(t)
	a.Redis.Value = "redis://127.0.0.1:1?max_retries=-1"
	s := newWatching(t, a, store, true)
	h := s.handler(a, a.Listen, "")
	ready := func() (int, string) {
		s.readiness.tried = time.Time{}
		w := get(t, h, "/readyz", nil)
		return w.Code, w.Body.String()
	}
	if code, said := ready(); code != http.StatusOK || !strings.Contains(said, `"check":"redis","ok":true,"detail":"away for 0s: redis is not available`) {
		t.Errorf("within the grace: %d %s", code, said)
	}
	s.readiness.redisAway = time.Now().Add(-redisGrace)
	if code, said := ready(); code != http.StatusServiceUnavailable || !strings.Contains(said, `"check":"redis","ok":false`) {
		t.Errorf("after the grace: %d %s", code, said)
	}
	s.readiness.queue = nil
	if code, said := ready(); code != http.StatusOK {
		t.Errorf("without Redis: %d %s", code, said)
	}
	s.stopping()
	if code, said := ready(); code != http.StatusServiceUnavailable || !strings.Contains(said, "it was told to stop") {
		t.Errorf("while it stops: %d %s", code, said)
	}
	if w := get(t, h, "/livez", nil); w.Code != http.StatusOK {
		t.Errorf("it lives, and answers %d", w.Code)
	}
	if w := get(t, s.probes(false, http.NotFoundHandler()), "/readyz", nil); strings.Contains(w.Body.String(), "detail") {
		t.Errorf("details are told to all: %s", w.Body)
	}
}

// Metrics are for who is on this machine or has the token, and never for a page of another
// site whose name leads here.
func TestMetricsAreForThoseWhoMaySeeThem(t *testing.T) {
	t.Parallel()
	a, store := newWatched(t)
	s := newWatching(t, a, store, false)
	a.PageHosts = []string{"tallyman.internal"}
	const token = "0123456789abcdef"
	from := func(host, authorization string) func(*http.Request) {
		return func(r *http.Request) { r.Host = host; r.Header.Set("Authorization", authorization) }
	}
	for _, test := range []struct {
		token, host, authorization string
		want                       int
	}{
		{"", "127.0.0.1:8410", "", http.StatusOK},
		{"", "localhost:8410", "", http.StatusOK},
		{"", "[::1]:8410", "", http.StatusOK},
		{"", "tallyman.internal", "", http.StatusOK},
		{"", "rebound.example:8410", "", http.StatusMisdirectedRequest},
		{"", "127.0.0.1.rebound.example", "", http.StatusMisdirectedRequest},
		{token, "10.0.0.7:8410", "", http.StatusUnauthorized},
		{token, "10.0.0.7:8410", "Bearer 0123456789abcdee", http.StatusUnauthorized},
		{token, "10.0.0.7:8410", "Bearer " + token, http.StatusOK},
	} {
		if w := get(t, s.handler(a, a.Listen, test.token), "/metrics", from(test.host, test.authorization)); w.Code != test.want {
			t.Errorf("%+v: %d", test, w.Code)
		}
	}
	if w := get(t, s.handler(a, a.Listen, ""), "/debug/pprof/", nil); w.Code != http.StatusNotFound {
		t.Errorf("profiles are served, and nobody asked for that: %d", w.Code)
	}
}

// An archive that can't be read is told as such, and never as one that holds nothing.
func TestWhatIsNotKnownIsNoMetric(t *testing.T) {
	t.Parallel()
	a, store := newWatched(t)
	s := newWatching(t, a, store, false)
	s.observer.turn <- struct{}{} // somebody asks, and does not end
	defer func() { <-s.observer.turn }()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errCatalogBusy)
	if got, err := s.observer.snapshot(ctx); err == nil || got.Places != nil {
		t.Errorf("snapshot = %v, %v", got, err)
	}
}

// The page tells what the ledger does, escapes what services said, runs no script, and has
// an answer for what is not known.
func TestThePageTellsWhatTheLedgerDoes(t *testing.T) {
	t.Parallel()
	a, store := newWatched(t)
	h := newWatching(t, a, store, false).handler(a, "127.0.0.1:8410", "")
	w := get(t, h, "/", nil)
	for _, want := range []string{watchedPlace, "2 landed<", "1 with doubts<", "1 waiting<", "2 failed by job-failed", "it&#39;s &lt;b&gt;broken&lt;/b&gt;", "tallyman retry --cause job-failed", "never"} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("the page lacks %s: %s", want, w.Body)
		}
	}
	if policy := w.Header().Get("Content-Security-Policy"); w.Code != http.StatusOK || !strings.Contains(policy, "default-src 'none'") {
		t.Errorf("%d, policy %s", w.Code, policy)
	}
	if w := get(t, h, "/export?ref="+watchedPlace+"bad1", nil); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "failed: job-failed") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, ref := range []string{watchedPlace + "nobody", "nonsense", "https://example.com/f?sig=canary"} {
		if w := get(t, h, "/export?ref="+ref, nil); w.Code != http.StatusNotFound || strings.Contains(w.Body.String(), "canary") {
			t.Errorf("%s: %d %s", ref, w.Code, w.Body)
		}
	}
	if w := get(t, h, "/", func(r *http.Request) { r.Host = "rebound.example" }); w.Code != http.StatusMisdirectedRequest {
		t.Errorf("by the name of another site: %d", w.Code)
	}
}

// Who asks all the time is told what is new too.
func TestThePageIsFreshHoweverOftenItIsAskedFor(t *testing.T) {
	t.Parallel()
	a, store := newWatched(t)
	o := newWatching(t, a, store, false).observer
	ask := func() {
		if err := o.ask(t.Context(), func(*statusCommand) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	ask()
	began := o.refreshed
	if ask(); !o.refreshed.Equal(began) {
		t.Error("it is read again at once")
	}
	o.refreshed = time.Now().Add(-freshness + 10*time.Millisecond)
	ask()
	time.Sleep(20 * time.Millisecond)
	if ask(); time.Since(o.refreshed) > freshness/2 {
		t.Error("to ask in between puts off that it is read")
	}
}
