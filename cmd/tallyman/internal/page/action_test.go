package page

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// crowd is an Actor over a number of exports that can grow; every tenth fails.
type crowd struct {
	exports int64
	set     string // that a search found
	detail  []string
	takes   time.Duration // for each export
	did     []Action
}

func (c *crowd) Offers(v Verb) bool { return v != Cancel }

func (c *crowd) Plan(_ context.Context, a Action) (Plan, error) {
	switch a.Ref {
	case "unknown":
		return Plan{}, fs.ErrNotExist
	case "landed":
		return Plan{}, &RefusedError{"It has <landed>."}
	}
	plan := Plan{Exports: c.exports, Set: c.set, Detail: c.detail, Command: "tallyman retry --cause x"}
	for i := range min(c.exports, 10) {
		plan.Sample = append(plan.Sample, fmt.Sprint("sls://r/p/", i))
	}
	return plan, nil
}

func (c *crowd) Begin(_ context.Context, a Action, agreed Agreement) (func(func(Result)), int64, error) {
	if err := agreed.Check(Plan{Exports: c.exports, Set: c.set}); err != nil {
		return nil, 0, err
	}
	c.did = append(c.did, a)
	n := c.exports
	return func(report func(Result)) {
		for i := range n {
			time.Sleep(c.takes)
			if r := (Result{Ref: fmt.Sprint("sls://r/p/", i), Said: "queued"}); i%10 == 9 {
				report(Result{Ref: r.Ref, Err: "it is <busy>", Hint: "run again"})
			} else {
				report(r)
			}
		}
	}, n, nil
}

// Nothing is done that a person has not agreed to: a page says what an action does and to how
// many, and if there are more by then it asks again. What came of it is told, and asking for
// that once more does nothing.
func TestAnActionIsDoneOnceItWasAgreedTo(t *testing.T) {
	t.Parallel()
	c := &crowd{exports: 12}
	b := newBrowser(Handler(nothing{}, newTestGuard(""), c))
	w := b.get("/act?verb=retry&phase=failed&cause=checksum-mismatch&place=sls://r/p/")
	for _, want := range []string{"Retry 12 exports that failed by checksum-mismatch in sls://r/p/?", "10 of them", "new budget", "<button class=\"retry\">Retry 12 exports</button>"} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("the question lacks %q: %s", want, w.Body)
		}
	}
	form := formOf(w)
	c.exports = 13
	w = b.do(http.MethodPost, "/act", form)
	if w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), "You agreed to 12 exports. There are 13 by now, and nothing was done") || len(c.did) != 0 {
		t.Errorf("it has grown: %d %s", w.Code, w.Body)
	}
	form = formOf(w)
	c.exports = 11 // some have landed
	w = b.do(http.MethodPost, "/act", form)
	if w.Code != http.StatusSeeOther || len(c.did) != 1 {
		t.Fatalf("agreed to: %d %v", w.Code, c.did)
	}
	if did := c.did[0]; did.Verb != Retry || did.Cause != "checksum-mismatch" || did.Place != "sls://r/p/" || did.By != "page" {
		t.Errorf("did %+v", did)
	}
	for range 2 {
		told := b.get(w.Header().Get("Location"))
		for _, want := range []string{"10 exports queued again, 1 not", "it is &lt;busy&gt;", "run again", "By page"} {
			if !strings.Contains(told.Body.String(), want) {
				t.Errorf("what came of it lacks %q: %s", want, told.Body)
			}
		}
	}
	if len(c.did) != 1 {
		t.Errorf("it was done %d times", len(c.did))
	}
}

// What a search found is touched as it was found: if the exports are others by then, though as
// many or fewer, the page asks again.
func TestWhatWasFoundIsTouchedAsItWasFound(t *testing.T) {
	t.Parallel()
	c := &crowd{exports: 12, set: "a"}
	b := newBrowser(Handler(nothing{}, newTestGuard(""), c))
	const query = "/act?verb=retry&phase=failed&text=%3Corders%3E&since=2026-11-01T00%3A00%3A00Z"
	w := b.get(query)
	if want := "Retry 12 exports that failed since 2026-11-01T00:00:00Z with “&lt;orders&gt;” in the reference?"; !strings.Contains(w.Body.String(), want) {
		t.Errorf("the question lacks %q: %s", want, w.Body)
	}
	form := formOf(w)
	for _, change := range []struct {
		exports int64
		want    string
	}{{12, "You agreed to 12 exports. These are others by now, and nothing was done"}, {11, "You agreed to 12 exports. There are 11 by now"}} {
		c.exports, c.set = change.exports, "b"
		if w := b.do(http.MethodPost, "/act", form); w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), change.want) || len(c.did) != 0 {
			t.Errorf("%d others: %d %s", change.exports, w.Code, w.Body)
		}
	}
	w = b.do(http.MethodPost, "/act", formOf(b.get(query)))
	if w.Code != http.StatusSeeOther || len(c.did) != 1 || c.did[0].Text != "<orders>" || c.did[0].Since != "2026-11-01T00:00:00Z" {
		t.Errorf("agreed to: %d %+v", w.Code, c.did)
	}
}

// An acceptance has a reason, and is of what the person has seen.
func TestAnAcceptanceIsOfWhatWasSeen(t *testing.T) {
	t.Parallel()
	c := &crowd{exports: 1, detail: []string{"count-mismatch: 9 records"}}
	b := newBrowser(Handler(nothing{}, newTestGuard(""), c))
	form := formOf(b.get("/act?verb=accept&ref=sls://r/p/0"))
	if w := b.do(http.MethodPost, "/act", form); w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), "Say why") {
		t.Errorf("without a reason: %d %s", w.Code, w.Body)
	}
	form.Set("reason", " counted by hand ")
	c.detail = []string{"count-mismatch: 8 records"}
	w := b.do(http.MethodPost, "/act", form)
	if w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), "changed since you looked") || !strings.Contains(w.Body.String(), "> counted by hand</textarea>") && !strings.Contains(w.Body.String(), ">counted by hand</textarea>") {
		t.Errorf("of other doubts: %d %s", w.Code, w.Body)
	}
	form = formOf(w)
	form.Set("reason", "counted by hand")
	if w := b.do(http.MethodPost, "/act", form); w.Code != http.StatusSeeOther || len(c.did) != 1 || c.did[0].Reason != "counted by hand" {
		t.Errorf("accept: %d %v", w.Code, c.did)
	}
}

// What can't be done is refused, with the reason; and nothing is done by a GET, without the
// token of a form, from another site, or where the page is for reading only.
func TestWhatCannotBeDoneIsRefused(t *testing.T) {
	t.Parallel()
	c := &crowd{exports: 3}
	b := newBrowser(Handler(nothing{}, newTestGuard(""), c))
	for query, want := range map[string]int{
		"verb=delete&ref=x":                 http.StatusBadRequest,
		"verb=":                             http.StatusBadRequest,
		"verb=cancel&ref=x":                 http.StatusBadRequest, // which is not offered
		"verb=retry":                        http.StatusBadRequest,
		"verb=retry&phase=asked":            http.StatusBadRequest,
		"verb=accept&phase=asked":           http.StatusBadRequest,
		"verb=retry&ref=unknown":            http.StatusNotFound,
		"verb=retry&ref=landed":             http.StatusBadRequest,
		"verb=retry&phase=failed":           http.StatusOK,
		"verb=accept&phase=doubts&place=sl": http.StatusOK,
	} {
		if w := b.get("/act?" + query); w.Code != want || strings.Contains(w.Body.String(), "<landed>") {
			t.Errorf("%s: %d, want %d: %s", query, w.Code, want, w.Body)
		}
	}
	form := formOf(b.get("/act?verb=retry&phase=failed"))
	for name, change := range map[string]func(*browser, url.Values){
		"no token of a form": func(_ *browser, f url.Values) { f.Del("form") },
		"no number":          func(_ *browser, f url.Values) { f.Del("exports") },
		"less than nothing":  func(_ *browser, f url.Values) { f.Set("exports", "-1") },
		"another site":       func(b *browser, _ url.Values) { b.headers["Sec-Fetch-Site"] = "cross-site" },
	} {
		other, changed := newBrowser(b.h), url.Values{}
		for key := range form {
			changed.Set(key, form.Get(key))
		}
		change(other, changed)
		if w := other.do(http.MethodPost, "/act", changed); w.Code < 400 {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	if w := b.get("/done?run=x"); w.Code != http.StatusNotFound {
		t.Errorf("a run that nobody knows: %d", w.Code)
	}
	readOnly := newBrowser(Handler(nothing{}, newTestGuard(""), nil))
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		if w := readOnly.do(method, "/act?verb=retry&phase=failed", form); w.Code != http.StatusNotFound {
			t.Errorf("read only: %s %d", method, w.Code)
		}
	}
	if len(c.did) != 0 {
		t.Errorf("did %+v", c.did)
	}
}

// How far a long action is can be seen while it goes on.
func TestALongActionIsSeenToGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBrowser(Handler(nothing{}, newTestGuard(""), &crowd{exports: 150, takes: time.Second}))
		w := b.do(http.MethodPost, "/act", formOf(b.get("/act?verb=retry&phase=failed")))
		told := b.get(w.Header().Get("Location")).Body.String()
		if !strings.Contains(told, "148 exports still to come") && !strings.Contains(told, "149 exports still to come") {
			t.Errorf("at first: %s", told)
		}
		time.Sleep(time.Hour)
		if told = b.get(w.Header().Get("Location")).Body.String(); !strings.Contains(told, "135 exports queued again, 15 not") || strings.Contains(told, "to come") || !strings.Contains(told, "and 135 in all") {
			t.Errorf("at the end: %s", told)
		}
	})
}
