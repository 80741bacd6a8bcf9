package page

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
)

// A Guard answers for those alone who may see what it guards: by the names of this host,
// so that no page of another site gets at it by a name of its own that leads here; and, if
// there is a token, with that.
type Guard struct {
	Address string   // that is listened at
	Hosts   []string // further names that browsers may use, as HOST or HOST:PORT
	Token   string   // "" if whoever reaches the address may see it
}

// Wrap returns a handler that lets only such requests through.
func (g *Guard) Wrap(h http.Handler) http.Handler {
	names := append(slices.Clone(g.Hosts), "localhost")
	if host, err := os.Hostname(); err == nil {
		names = append(names, host)
	}
	if host, _, err := net.SplitHostPort(g.Address); err == nil {
		names = append(names, host)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !isNamed(names, r.Host):
			http.Error(w, "this host is not known by the name in the address: name it by --page-host", http.StatusMisdirectedRequest)
		case !g.Allows(r):
			w.Header().Set("WWW-Authenticate", `Bearer realm="tallyman"`)
			http.Error(w, "a token is wanted", http.StatusUnauthorized)
		default:
			h.ServeHTTP(w, r)
		}
	})
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

// cookieName is of the cookie that a browser has once it was given the token.
const cookieName = "tallyman"

// Allows reports whether a request has the token, in its header or as a cookie.
func (g *Guard) Allows(r *http.Request) bool {
	if g.Token == "" {
		return true
	}
	given, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if cookie, err := r.Cookie(cookieName); err == nil && given == "" {
		return equal(cookie.Value, g.cookie())
	}
	return equal(given, g.Token)
}

// cookie is the value of the cookie: who gets hold of it does not have the token.
func (g *Guard) cookie() string {
	sum := sha256.Sum256([]byte("tallyman page\n" + g.Token))
	return hex.EncodeToString(sum[:])
}

// equal compares two texts in a time that tells nothing of where they differ.
func equal(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}
