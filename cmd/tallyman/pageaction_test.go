package main

import (
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"

	"tallyman/verify/archive"
	"tallyman/verify/archive/catalog"
	"tallyman/verify/archive/ledger"
)

// formOf returns the hidden fields of the form in a page.
func formOf(text string) url.Values {
	form := url.Values{}
	for _, field := range regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`).FindAllStringSubmatch(text, -1) {
		form.Set(field[1], html.UnescapeString(field[2]))
	}
	return form
}

// post sends a form as the page of a browser on this machine does.
func post(h http.Handler, form url.Values) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/act", strings.NewReader(form.Encode()))
	r.Host = "127.0.0.1:8410"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// done asks for an action by the page's own form, and returns what the page tells then.
func done(t *testing.T, h http.Handler, query, reason string) string {
	t.Helper()
	asked := get(t, h, "/act?"+query, nil)
	form := formOf(asked.Body.String())
	form.Set("reason", reason)
	if !form.Has("form") {
		return asked.Body.String()
	}
	w := post(h, form)
	if w.Code != http.StatusSeeOther {
		t.Fatalf("%s: %d %s", query, w.Code, w.Body)
	}
	said := ""
	waitFor(t, "the end of "+query, func() bool {
		said = get(t, h, w.Header().Get("Location"), nil).Body.String()
		return !strings.Contains(said, "still to come")
	})
	return said
}

// events are the kinds of the lines of a job of watchedPlace, and who is named in them.
func events(t *testing.T, store *archive.Archive, job string) (said []string) {
	t.Helper()
	lines, err := store.EventsOf(watchedLine(ledger.Asked, job, nil).Key)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		said = append(said, strings.TrimSpace(string(line.Kind)+" "+line.By))
	}
	return said
}

// The page retries, cancels and accepts as the commands do: the queue has what is retried,
// and the ledger says who wanted it.
func TestThePageDoesWhatTheCommandsDo(t *testing.T) {
	t.Parallel()
	a, store := newWatched(t)
	a.Redis.Value = "redis://" + miniredis.RunT(t).Addr()
	s := newWatching(t, a, store, true)
	h := s.handler(a, "127.0.0.1:8410", "")
	place := url.QueryEscape(watchedPlace)
	err := store.Ledger().Append(
		ledger.Line{Kind: ledger.Listed, Ref: "dbs://cn-hangzhou/rm-1/", Cause: "auth-denied", Message: "the key may not list"},
		watchedLine(ledger.Failed, "gone", func(l *ledger.Line) { l.Cause, l.Message = "job-expired", "it has expired" }),
	)
	if err != nil {
		t.Fatal(err)
	}
	if shown := get(t, h, "/", nil).Body.String(); !strings.Contains(shown, "its result is gone, and no retry brings it back: make the job anew, by tallyman ensure "+watchedPlace) {
		t.Errorf("the page does not say what helps: %s", shown)
	}
	if asked := get(t, h, "/act?verb=retry&phase=failed", nil).Body.String(); !strings.Contains(asked, "Retry 3 exports") || !strings.Contains(asked, "1 export failed by job-expired: another attempt ends the same way") {
		t.Errorf("what is vain is not told: %s", asked)
	}
	for _, test := range []struct{ query, reason, want string }{
		{"verb=accept&phase=unlisted&place=dbs://cn-hangzhou/rm-1/", "the project moved", "1 place accepted"},
		{"verb=accept&phase=unlisted&place=" + place, "x", "it could be listed when that was last tried"},
		{"verb=accept&phase=unlisted&place=nonsense", "x", "Nothing was done"},
		{"verb=retry&phase=failed&cause=job-failed", "", "2 exports queued again"},
		{"verb=retry&phase=failed&cause=job-failed", "", "nothing left to retry"},
		{"verb=cancel&phase=asked&place=" + place, "", "3 exports cancelled"},
		{"verb=retry&ref=" + place + "bad1", "", "1 export queued again"},
		{"verb=accept&phase=failed&cause=job-expired", "it is over", "1 export accepted"},
		{"verb=accept&phase=doubts&place=" + place, "counted by hand", "0 exports accepted, 1 not"}, // its bag is not there,
		{"verb=accept&ref=" + place + "good", "x", "what is damaged or gone is not accepted"},
		{"verb=cancel&ref=" + place + "bad2", "", "is cancelled already"},
		{"verb=retry&ref=https://example.com/f?sig=canary", "", "Nothing is known"},
	} {
		if got := done(t, h, test.query, test.reason); !strings.Contains(got, test.want) || strings.Contains(got, "canary") {
			t.Errorf("%s does not say %s: %s", test.query, test.want, got)
		}
	}
	for job, want := range map[string][]string{
		"bad1": {"asked", "failed", "asked page", "cancelled page", "asked page"},
		"bad2": {"asked", "failed", "asked page", "cancelled page"},
		"slow": {"asked", "cancelled page"}, "doubted": {"landed"},
	} {
		if diff := cmp.Diff(want, events(t, store, job)); diff != "" {
			t.Errorf("%s: %s", job, diff)
		}
	}
	last, err := store.Ledger().Last(ledger.Accepted, "dbs://cn-hangzhou/rm-1/")
	if err != nil || last == nil || last.By != "page" || last.Message != "the key may not list" {
		t.Errorf("the place: %+v, %v", last, err)
	}
	sizes, _, err := s.observer.queue.Sizes(t.Context())
	queued := 0
	for _, size := range sizes {
		queued += size.Tasks["pending"]
	}
	if queued != 1 || err != nil {
		t.Errorf("the queue has %d, %v", queued, err)
	}
}

// An action for a list that was searched says how many exports it touches, and touches those
// that the list shows and no others, though the search is by a time that goes on; if others
// are found by then, nothing is done.
func TestAnActionTouchesWhatItsListShows(t *testing.T) {
	t.Parallel()
	a, store := newWatched(t)
	s := newWatching(t, a, store, false)
	h := s.handler(a, "127.0.0.1:8410", "")
	fail := func(job string, ago time.Duration) {
		t.Helper()
		err := store.Ledger().Append(watchedLine(ledger.Failed, job, func(l *ledger.Line) { l.Cause, l.At = "job-failed", time.Now().Add(-ago) }))
		if err != nil {
			t.Fatal(err)
		}
		s.observer.stale.Store(true)
	}
	button := func(list, verb string) string {
		t.Helper()
		body := get(t, h, list, nil).Body.String()
		for _, link := range regexp.MustCompile(`href="/act\?([^"]*)" class="button">`+verb).FindAllStringSubmatch(body, -1) {
			return html.UnescapeString(link[1])
		}
		t.Fatalf("%s offers no %s: %s", list, verb, body)
		return ""
	}
	fail("bad10", 0)
	fail("worse", 0)
	for _, tt := range []struct{ list, reason, want string }{
		{"/exports?state=failed&text=" + url.QueryEscape(watchedPlace+"bad1"), "one", "1 export accepted"}, // and not bad10
		{"/exports?state=failed&text=BAD&since=1h", "some", "2 exports accepted"},
		{"/exports?state=doubts&text=doubted&since=1h", "x", "0 exports accepted, 1 not"}, // its bag is not there
	} {
		if got := done(t, h, button(tt.list, "Accept"), tt.reason); !strings.Contains(got, tt.want) {
			t.Errorf("%s: not %s: %s", tt.list, tt.want, got)
		}
	}
	for job, want := range map[string]string{"bad1": "one", "bad2": "some", "bad10": "some", "worse": ""} {
		last, err := store.Ledger().Last(ledger.Accepted, watchedPlace+job)
		if err != nil || (last == nil) != (want == "") || last != nil && last.Reason != want {
			t.Errorf("%s: %+v, %v", job, last, err)
		}
	}
	query := button("/exports?state=failed&since=1h&text=/", "Accept")
	asked := get(t, h, "/act?"+query, nil).Body.String()
	if !strings.Contains(asked, "Accept 1 export that failed") || !strings.Contains(asked, "3 more are accepted already") {
		t.Errorf("the question: %s", asked)
	}
	fail("worse", 0) // once more, by which it is another failure
	form := formOf(asked)
	form.Set("reason", "x")
	if w := post(h, form); w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), "These are others by now") {
		t.Errorf("it has failed once more: %d %s", w.Code, w.Body)
	}
	if got := get(t, h, "/act?verb=accept&phase=failed&since=whenever", nil); got.Code != http.StatusBadRequest || !strings.Contains(got.Body.String(), "must be a time like") {
		t.Errorf("no time: %d %s", got.Code, got.Body)
	}
}

// Without a queue the page only accepts, and with --page-read-only not even that; and it does
// not act on what is of another archive's queue.
func TestThePageOffersWhatItCanDo(t *testing.T) {
	t.Parallel()
	a, store := newWatched(t)
	s := newWatching(t, a, store, false)
	h := s.handler(a, "127.0.0.1:8410", "")
	page := get(t, h, "/", nil).Body.String()
	if strings.Contains(page, "verb=retry") || strings.Contains(page, "verb=cancel") || !strings.Contains(page, "verb=accept") {
		t.Errorf("without a queue: %s", page)
	}
	if got := done(t, h, "verb=retry&phase=failed", ""); !strings.Contains(got, "nobody can retry") {
		t.Errorf("retry without a queue: %s", got)
	}
	if got := done(t, h, "verb=accept&phase=failed&cause=job-failed", "known outage"); !strings.Contains(got, "2 exports accepted") {
		t.Errorf("accept without a queue: %s", got)
	}
	a.PageReadOnly = true
	h = s.handler(a, "127.0.0.1:8410", "")
	for _, path := range []string{"/", "/export?ref=" + watchedPlace + "doubted"} {
		if page := get(t, h, path, nil); page.Code != http.StatusOK || strings.Contains(page.Body.String(), "/act") {
			t.Errorf("read only: %s: %s", path, page.Body)
		}
	}
	a.PageReadOnly = false
	m := miniredis.RunT(t)
	_ = m.Set("tallyman:archive", "another")
	a.Redis.Value = "redis://" + m.Addr()
	if got := done(t, newWatching(t, a, store, true).handler(a, "127.0.0.1:8410", ""), "verb=retry&ref="+watchedPlace+"bad1", ""); !strings.Contains(got, "another") {
		t.Errorf("a queue of another archive: %s", got)
	}
}

// What is offered for an export is what helps it as it stands.
func TestWhatIsOfferedHelps(t *testing.T) {
	t.Parallel()
	accepted := &catalog.Acceptance{By: "ada"}
	for _, test := range []struct {
		export catalog.Export
		want   string
	}{
		{catalog.Export{Phase: catalog.Failed}, "retry accept cancel"},
		{catalog.Export{Phase: catalog.Failed, Cause: "job-expired"}, "accept cancel retry"},
		{catalog.Export{Phase: catalog.Failed, Accepted: accepted}, "retry cancel"},
		{catalog.Export{Phase: catalog.Asked}, "retry cancel"},
		{catalog.Export{Phase: catalog.Cancelled}, "retry"},
		{catalog.Export{Phase: catalog.Landed}, ""},
		{catalog.Export{Phase: catalog.Landed, Open: 1}, "accept"},
		{catalog.Export{Phase: catalog.Damaged}, ""},
		{catalog.Export{Phase: catalog.Removed}, ""},
	} {
		var got []string
		for _, v := range verbsFor(&test.export) {
			got = append(got, string(v))
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%+v: %v, want %s", test.export, got, test.want)
		}
	}
}

// What another attempt does not help is not said to be helped by one: the page says what does,
// and has the button to retry, if any, behind the others.
func TestAVainRetryIsNotTheCure(t *testing.T) {
	t.Parallel()
	a, store := newWatched(t)
	err := store.Ledger().Append(watchedLine(ledger.Failed, "gone", func(l *ledger.Line) { l.Cause, l.Message = "job-expired", "it has expired" }))
	if err != nil {
		t.Fatal(err)
	}
	a.Redis.Value = "redis://" + miniredis.RunT(t).Addr()
	h := newWatching(t, a, store, true).handler(a, "127.0.0.1:8410", "")
	const cure = "A retry ends the same way:</strong> its result is gone, and no retry brings it back: make the job anew"
	_, groups, _ := strings.Cut(get(t, h, "/", nil).Body.String(), "What is wrong")
	for group := range strings.SplitSeq(groups, "<section>") {
		isVain := strings.Contains(group, "by job-expired")
		if strings.Contains(group, cure) != isVain || strings.Contains(group, "Retry this group…") == isVain && strings.Contains(group, "failed by") {
			t.Errorf("a group: %s", group)
		}
	}
	for _, path := range []string{"/exports?state=failed&cause=job-expired", "/export?ref=" + watchedPlace + "gone"} {
		body := get(t, h, path, nil).Body.String()
		if accept, retry := strings.Index(body, ">Accept"), strings.Index(body, ">Retry anyway…"); accept < 0 || retry < accept || strings.Contains(path, "exports") && !strings.Contains(body, cure) {
			t.Errorf("%s: %s", path, body)
		}
	}
}
