package page

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
)

// A Guard answers for those alone who may see what it guards: by the names of this host,
// so that no page of another site gets at it by a name of its own that leads here; and, if
// there is a token, with that, or in a session that was begun with it.
type Guard struct {
	address string   // that is listened at
	hosts   []string // further names that browsers may use, as HOST or HOST:PORT
	token   string   // "" if whoever reaches the address may see it
	log     *slog.Logger

	names    []string
	key      []byte // of the tokens of forms, for as long as the process lives
	sessions sessions
	guesses  *guesses
}

// NewGuard returns a Guard for what is served at an address. It lets pass what is for this
// host by its own name or by one of hosts, each as HOST or HOST:PORT. Without a token, whoever
// reaches the address may see it.
func NewGuard(address string, hosts []string, token string, log *slog.Logger) *Guard {
	g := &Guard{address: address, hosts: hosts, token: token, log: log, key: make([]byte, sha256.Size), guesses: newGuesses(token)}
	_, _ = rand.Read(g.key) // which never fails
	g.names = append(slices.Clone(hosts), "localhost")
	if host, err := os.Hostname(); err == nil {
		g.names = append(g.names, host)
	}
	if host, _, err := net.SplitHostPort(address); err == nil {
		g.names = append(g.names, host)
	}
	return g
}

// Wrap returns a handler that lets only such requests through, and those for what is needed
// to log in.
func (g *Guard) Wrap(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isNamed(g.names, r.Host) {
			http.Error(w, "this host is not known by the name in the address: name it by --page-host", http.StatusMisdirectedRequest)
			return
		}
		if r.URL.Path == "/login" || r.URL.Path == stylePath {
			h.ServeHTTP(w, r)
			return
		}
		s, code := g.admit(r)
		switch {
		case code == http.StatusOK:
			h.ServeHTTP(w, withSession(r, s))
		case code == http.StatusUnauthorized && r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html"):
			http.Redirect(w, r, "/login?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
		case code == http.StatusTooManyRequests:
			w.Header().Set("Retry-After", retryGuessTime)
			http.Error(w, "too many wrong tokens came from this address", code)
		default:
			w.Header().Set("WWW-Authenticate", `Bearer realm="tallyman"`)
			http.Error(w, "a token is wanted", code)
		}
	})
}

// admit returns the session of a request that is let through, and StatusOK; or the status of
// the answer.
func (g *Guard) admit(r *http.Request) (session, int) {
	if g.token == "" {
		return session{}, http.StatusOK
	}
	if s, ok := g.fromCookie(r); ok {
		return s, http.StatusOK
	}
	given, isBearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !isBearer {
		return session{}, http.StatusUnauthorized
	}
	switch right, tooMany := g.guesses.try(r.RemoteAddr, given); {
	case tooMany:
		return session{}, http.StatusTooManyRequests
	case !right:
		return session{}, http.StatusUnauthorized
	}
	return session{}, http.StatusOK
}

// isNamed reports whether a request for host is meant for this one: by one of its names,
// or by an address, which no other site can have as its name.
func isNamed(names []string, host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	name = strings.ToLower(strings.TrimSuffix(strings.Trim(name, "[]"), "."))
	if net.ParseIP(name) != nil {
		return true
	}
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) || strings.EqualFold(n, host) })
}

// equal compares two texts in a time that tells nothing of where they differ.
func equal(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}
