package page

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"tallyman/fetch/redact"
)

// How long a browser stays logged in, how many may be at once, how much a form may have,
// and how long the name in it may be.
const (
	sessionTime = 12 * time.Hour
	maxSessions = 1000
	maxForm     = 64 << 10
	maxName     = 60
	maxSubject  = 200
)

// A session is of a browser that was given the token. The zero session is of whoever needs
// none, or has the token in a header.
type session struct {
	id   string
	name string // that the person gave, or ""
	ends time.Time
}

// whoAsks is the name for the ledger of who asks: the subject of the certificate that the
// browser has shown, which an authority vouches for, or else the name that the person gave.
func whoAsks(r *http.Request) string {
	name := sessionOf(r).name
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		name = cleanName(r.TLS.VerifiedChains[0][0].Subject.String(), maxSubject)
	}
	if name == "" {
		return "page"
	}
	return name + " (page)"
}

// sessions are those that a process knows. Its methods may be called by many goroutines at
// once.
type sessions struct {
	mu  sync.Mutex
	all map[string]session // by their IDs
}

// begin makes a session for a person. If there are too many, the one that ends first is no
// more.
func (s *sessions) begin(name string) session {
	made := session{rand.Text(), name, time.Now().Add(sessionTime)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[string]session{}
	}
	if len(s.all) >= maxSessions {
		first := made
		for _, other := range s.all {
			if other.ends.Before(first.ends) {
				first = other
			}
		}
		delete(s.all, first.id)
	}
	s.all[made.id] = made
	return made
}

// find returns the session of an ID, unless it has ended.
func (s *sessions) find(id string) (session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.all[id]
	if ok && time.Now().After(found.ends) {
		delete(s.all, id)
		ok = false
	}
	return found, ok
}

func (s *sessions) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, id)
}

// An address may guess wrongly as often as guessBurst, and then once in guessInterval. So
// many addresses are remembered.
const (
	guessBurst     = 5
	guessInterval  = 2 * time.Second
	maxAddresses   = 10_000
	retryGuessTime = "2"
)

// guesses slow down whoever guesses the token.
type guesses struct {
	mu     sync.Mutex
	wrong  *lru.Cache[string, *rate.Limiter]
	secret string
}

func newGuesses(secret string) *guesses {
	wrong, _ := lru.New[string, *rate.Limiter](maxAddresses) // fails for no size that is more than 0
	return &guesses{wrong: wrong, secret: secret}
}

// try reports whether a guess is right. It does not look at it if there were too many wrong
// ones from its address.
func (g *guesses) try(remote, guess string) (right, tooMany bool) {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	limiter, known := g.wrong.Get(host)
	if known && limiter.Tokens() < 1 {
		return false, true
	}
	if equal(guess, g.secret) {
		return true, false
	}
	if !known {
		limiter = rate.NewLimiter(rate.Every(guessInterval), guessBurst)
		g.wrong.Add(host, limiter)
	}
	limiter.Allow()
	return false, false
}

type sessionKey struct{}

// sessionOf is the session of a request that a Guard let through.
func sessionOf(r *http.Request) session {
	s, _ := r.Context().Value(sessionKey{}).(session)
	return s
}

func withSession(r *http.Request, s session) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), sessionKey{}, s))
}

// formToken is what a form must bring back to show that it is of a page that this process
// has shown in the same session.
func (g *Guard) formToken(s session) string {
	mac := hmac.New(sha256.New, g.key)
	mac.Write([]byte("form\n" + s.id))
	return hex.EncodeToString(mac.Sum(nil))
}

// readForm reads the form of a POST. It answers those that are too long, or not of a page
// of this process, and returns false.
func (g *Guard) readForm(w http.ResponseWriter, r *http.Request) bool {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "the form can't be read, or is too long", http.StatusRequestEntityTooLarge)
		return false
	}
	if !equal(r.PostForm.Get("form"), g.formToken(sessionOf(r))) {
		http.Error(w, "the form is of an earlier session, or not of this page: go back, load the page again, and try again", http.StatusForbidden)
		return false
	}
	return true
}

// serveLogin adds the pages by which a browser is given a session, and gives it up.
func (g *Guard) serveLogin(mux *http.ServeMux, v *views) {
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, r *http.Request) {
		next := localPath(r.FormValue("next"))
		if _, ok := g.fromCookie(r); ok || g.token == "" {
			http.Redirect(w, r, next, http.StatusSeeOther)
			return
		}
		show(w, http.StatusOK, v.login(login{Form: g.formToken(session{}), Next: next}))
	})
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		if !g.readForm(w, r) {
			return
		}
		next := localPath(r.PostForm.Get("next"))
		right, tooMany := g.guesses.try(r.RemoteAddr, strings.TrimSpace(r.PostForm.Get("token")))
		again := login{Form: g.formToken(session{}), Next: next, Problem: "That is not the token."}
		switch {
		case tooMany:
			again.Problem = "Too many wrong tokens came from your address: wait a little."
			w.Header().Set("Retry-After", retryGuessTime)
			show(w, http.StatusTooManyRequests, v.login(again))
		case !right:
			g.log.Warn("a log-in to the page failed", "from", r.RemoteAddr)
			show(w, http.StatusUnauthorized, v.login(again))
		default:
			g.setCookie(w, r, g.sessions.begin(cleanName(r.PostForm.Get("name"), maxName)).id, int(sessionTime.Seconds()))
			http.Redirect(w, r, next, http.StatusSeeOther)
		}
	})
	mux.HandleFunc("GET /logout", func(w http.ResponseWriter, r *http.Request) {
		show(w, http.StatusOK, v.logout(g.formToken(sessionOf(r))))
	})
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		if !g.readForm(w, r) {
			return
		}
		g.sessions.end(sessionOf(r).id)
		g.setCookie(w, r, "", -1)
		http.Redirect(w, r, "/login", http.StatusSeeOther)
	})
}

// cookieName is of the cookie of a session. Browsers tell hosts apart, and not ports.
func (g *Guard) cookieName() string {
	_, port, _ := net.SplitHostPort(g.address)
	return "tallyman-" + port
}

// setCookie gives the browser a cookie that it sends to this site alone, for so many seconds.
func (g *Guard) setCookie(w http.ResponseWriter, r *http.Request, value string, seconds int) {
	http.SetCookie(w, &http.Cookie{
		Name: g.cookieName(), Value: value, Path: "/", MaxAge: seconds, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https",
	})
}

// fromCookie returns the session that a browser has.
func (g *Guard) fromCookie(r *http.Request) (session, bool) {
	cookie, err := r.Cookie(g.cookieName())
	if err != nil {
		return session{}, false
	}
	return g.sessions.find(cookie.Value)
}

// localPath is a path of this site, or "/" where a text names anything else.
func localPath(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(u.Path, "//") || strings.Contains(text, `\`) {
		return "/"
	}
	return (&url.URL{Path: u.Path, RawQuery: u.RawQuery}).String()
}

// cleanName is a name as it may be written down, of so many letters at most.
func cleanName(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, redact.Text(strings.TrimSpace(text)))
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most])
	}
	return text
}
