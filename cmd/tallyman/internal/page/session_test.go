package page

import (
	"context"
	"html"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const (
	testAddress = "127.0.0.1:8410"
	testToken   = "0123456789abcdef"
)

// nothing is a Source of an archive in which nothing is.
type nothing struct{}

func (nothing) Overview(context.Context) (Overview, error)         { return Overview{}, nil }
func (nothing) Exports(context.Context, Query) (ExportList, error) { return ExportList{}, nil }
func (nothing) Notifications(context.Context) (Notifications, error) {
	return Notifications{}, nil
}
func (nothing) Running(context.Context) Running { return Running{} }
func (nothing) Coverage(context.Context, string, string, *Window) (Coverage, error) {
	return Coverage{}, nil
}
func (nothing) Story(context.Context, string) (Story, error) {
	return Story{}, fs.ErrNotExist
}

func newTestGuard(token string) *Guard {
	return NewGuard(testAddress, nil, token, slog.New(slog.DiscardHandler))
}

// A browser is what asks a handler, with the cookies that it was given.
type browser struct {
	h       http.Handler
	cookies map[string]*http.Cookie
	headers map[string]string
}

func newBrowser(h http.Handler) *browser {
	return &browser{h: h, cookies: map[string]*http.Cookie{}, headers: map[string]string{"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}}
}

func (b *browser) do(method, path string, form url.Values) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
	r.Host = testAddress
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, value := range b.headers {
		r.Header.Set(name, value)
	}
	for _, c := range b.cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	b.h.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		if b.cookies[c.Name] = c; c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	return w
}

func (b *browser) get(path string) *httptest.ResponseRecorder { return b.do(http.MethodGet, path, nil) }

// formOf returns the hidden fields of the form that a page shows.
func formOf(w *httptest.ResponseRecorder) url.Values {
	form := url.Values{}
	for _, field := range regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`).FindAllStringSubmatch(w.Body.String(), -1) {
		form.Set(field[1], html.UnescapeString(field[2]))
	}
	return form
}

// logIn sends the form to log in, with a token.
func (b *browser) logIn(token string) *httptest.ResponseRecorder {
	form := formOf(b.get("/login?next=" + url.QueryEscape("/export?ref=x")))
	form.Set("token", token)
	form.Set("name", " Ada\n ")
	return b.do(http.MethodPost, "/login", form)
}

// Who has no session is sent to log in; the token begins a session, of which only the browser
// knows; and it ends by logging out, or in time.
func TestTheTokenBeginsASession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newTestGuard(testToken)
		b := newBrowser(Handler(nothing{}, g, nil))
		if w := b.get("/?a=b"); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/login?next=%2F%3Fa%3Db" {
			t.Errorf("without a session: %d %s", w.Code, w.Header())
		}
		w := b.logIn(testToken)
		if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/export?ref=x" {
			t.Fatalf("log in: %d %s", w.Code, w.Header())
		}
		c := b.cookies["tallyman-8410"]
		if c == nil || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Secure || strings.Contains(c.Value, testToken) {
			t.Errorf("cookie %v", c)
		}
		if s, ok := g.sessions.find(c.Value); !ok || whoAsks(withSession(httptest.NewRequest(http.MethodGet, "/", nil), s)) != "Ada (page)" {
			t.Errorf("session %v, %v", s, ok)
		}
		if w := b.get("/"); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "Log out") {
			t.Errorf("in the session: %d %s", w.Code, w.Body)
		}
		if w := b.do(http.MethodPost, "/logout", nil); w.Code != http.StatusForbidden {
			t.Errorf("log out by a form of another page: %d", w.Code)
		}
		if w := b.do(http.MethodPost, "/logout", formOf(b.get("/logout"))); w.Code != http.StatusSeeOther || len(b.cookies) != 0 {
			t.Errorf("log out: %d %v", w.Code, b.cookies)
		}
		b.cookies[c.Name] = c // who has kept it
		if w := b.get("/"); w.Code != http.StatusSeeOther {
			t.Errorf("after logging out: %d", w.Code)
		}
		b.headers["X-Forwarded-Proto"] = "https"
		if b.logIn(testToken); !b.cookies[c.Name].Secure {
			t.Error("behind TLS, the cookie is sent without it too")
		}
		time.Sleep(sessionTime + time.Second)
		if w := b.get("/"); w.Code != http.StatusSeeOther {
			t.Errorf("after %v: %d", sessionTime, w.Code)
		}
	})
}

// Who guesses is slowed down, by the form and by the header, and other addresses are not.
func TestGuessesAreSlowedDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBrowser(Handler(nothing{}, newTestGuard(testToken), nil))
		for range guessBurst - 1 {
			if w := b.logIn("wrong"); w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), "not the token") {
				t.Errorf("a wrong token: %d %s", w.Code, w.Body)
			}
		}
		b.headers["Authorization"] = "Bearer wrong"
		if w := b.get("/"); w.Code != http.StatusSeeOther {
			t.Errorf("a wrong token in the header: %d", w.Code)
		}
		delete(b.headers, "Authorization")
		if w := b.logIn(testToken); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" || len(b.cookies) != 0 {
			t.Errorf("after %d wrong ones: %d", guessBurst, w.Code)
		}
		time.Sleep(guessInterval)
		if w := b.logIn(testToken); w.Code != http.StatusSeeOther || len(b.cookies) != 1 {
			t.Errorf("after a while: %d", w.Code)
		}
	})
	g := newGuesses(testToken)
	for range guessBurst {
		g.try("10.0.0.1:1", "wrong")
	}
	if _, tooMany := g.try("10.0.0.1:2", testToken); !tooMany {
		t.Error("another port is another address")
	}
	if right, tooMany := g.try("10.0.0.2:1", testToken); !right || tooMany {
		t.Error("another address is slowed down")
	}
}

// A form is taken only from this site, in the session that it was shown in, and of a bounded
// size.
func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	g := newTestGuard(testToken)
	g.hosts = []string{"t.internal"}
	b := newBrowser(Handler(nothing{}, g, nil))
	send := func(headers map[string]string, change func(url.Values)) int {
		form := formOf(b.get("/login"))
		form.Set("token", testToken)
		if change != nil {
			change(form)
		}
		b := newBrowser(b.h)
		b.headers = headers
		return b.do(http.MethodPost, "/login", form).Code
	}
	for _, test := range []struct {
		name    string
		headers map[string]string
		change  func(url.Values)
		want    int
	}{
		{"another site, as browsers say", map[string]string{"Sec-Fetch-Site": "cross-site"}, nil, http.StatusForbidden},
		{"another site below the same domain", map[string]string{"Sec-Fetch-Site": "same-site"}, nil, http.StatusForbidden},
		{"another site, as old browsers say", map[string]string{"Origin": "https://evil.example"}, nil, http.StatusForbidden},
		{"no site", map[string]string{"Origin": "null"}, nil, http.StatusForbidden},
		{"this site", map[string]string{"Origin": "http://" + testAddress}, nil, http.StatusSeeOther},
		{"this site by its proxy", map[string]string{"Origin": "https://t.internal"}, nil, http.StatusSeeOther},
		{"no browser", nil, nil, http.StatusSeeOther},
		{"no token of a form", nil, func(f url.Values) { f.Del("form") }, http.StatusForbidden},
		{"that of another process", nil, func(f url.Values) { f.Set("form", newTestGuard(testToken).formToken(session{})) }, http.StatusForbidden},
		{"that of another session", nil, func(f url.Values) { f.Set("form", g.formToken(session{id: "other"})) }, http.StatusForbidden},
		{"too long", nil, func(f url.Values) { f.Set("x", strings.Repeat("x", maxForm)) }, http.StatusRequestEntityTooLarge},
	} {
		if got := send(test.headers, test.change); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}

// Whoever logs in is sent on to this site alone.
func FuzzLocalPath(f *testing.F) {
	for _, path := range []string{"/", "/export?ref=sls://r/p/j", "//evil.example/", `/\evil.example`, "https://evil.example", "/%2f/evil.example", "", "javascript:alert(1)", "/\t/evil.example"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := localPath(text)
		at, err := (&url.URL{Scheme: "http", Host: testAddress, Path: "/"}).Parse(got)
		if err != nil || at.Host != testAddress || at.Scheme != "http" || !strings.HasPrefix(got, "/") || strings.HasPrefix(got, "//") || strings.ContainsAny(got, "\\\t\n\r") {
			t.Errorf("%q leads to %q", text, got)
		}
	})
}
