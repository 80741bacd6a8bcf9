package web

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"tallyman/fetch/hostguard"
)

// A URL is opened only if its host is allowed, and no error shows its query or
// its password.
func FuzzOpen(f *testing.F) {
	for _, s := range []string{"https://b.aliyuncs.com/d/f.csv", "http://b.aliyuncs.com/a", "https://evil/a", "", "/a", "https://b.aliyuncs.com/%zz", "https://b.aliyuncs.com\\@evil/", "https://[::1]/", "HTTPS://B.ALIYUNCS.COM"} {
		f.Add(s, "Expires=1", "u:p")
		f.Add(s, "a=b#c", "")
	}
	hosts := &hostguard.Policy{Domains: []string{"aliyuncs.com"}}
	f.Fuzz(func(t *testing.T, address, query, user string) {
		if strings.Contains(address+query+user, "CANARY") {
			return
		}
		signed := address + "?" + query + "&Signature=CANARY"
		s, err := Open(http.DefaultClient, hosts, signed)
		if err == nil && strings.Contains(s.shown+s.name(), "CANARY") || err != nil && (strings.Contains(err.Error(), "CANARY") || !errors.Is(err, hostguard.ErrHost)) {
			t.Errorf("%q: %v", signed, err)
		}
		if u, parseErr := url.Parse(signed); err == nil && (parseErr != nil || hosts.Check(u) != nil || s.name() == "" || strings.Contains(s.name(), "/")) {
			t.Errorf("%q is opened as %+v", signed, s)
		}
		if scheme, rest, ok := strings.Cut(address, "://"); ok {
			secret := scheme + "://" + url.PathEscape(user) + ":CANARY@" + rest
			if _, err := Open(http.DefaultClient, hosts, secret); err != nil && strings.Contains(err.Error(), "CANARY") && hasAuthority(rest) {
				t.Errorf("%q: %v", secret, err)
			}
		}
	})
}

// hasAuthority reports whether a text begins with a host, so that what is before
// an @ sign is a password and no part of a path.
func hasAuthority(rest string) bool {
	u, err := url.Parse("https://" + rest)
	return err == nil && u.Host != "" && u.User == nil
}
