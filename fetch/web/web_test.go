package web

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"tallyman/fetch"
	"tallyman/fetch/hostguard"
)

func open(t *testing.T, rawURL string) *Source {
	t.Helper()
	hosts := &hostguard.Policy{Domains: []string{"*"}, Allow: []string{"127.0.0.1"}}
	client := hosts.Client()
	t.Cleanup(client.CloseIdleConnections)
	s, err := Open(client, hosts, rawURL)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestOpenRefusesHostsThatAreNotAllowed(t *testing.T) {
	hosts := &hostguard.Policy{Domains: []string{"aliyuncs.com"}}
	for _, raw := range []string{"", "a", "/a", "https://", "https:///a?Signature=CANARY", "ftp://b.aliyuncs.com/a", "http://b.aliyuncs.com/a?Signature=CANARY",
		"https://evil.com/a?Signature=CANARY", "https://u:CANARY@b.aliyuncs.com/a", "https://b.aliyuncs.com/%zz?Signature=CANARY", "https://b.aliyuncs.com/\x7f?CANARY"} {
		_, err := Open(http.DefaultClient, hosts, raw)
		if !errors.Is(err, hostguard.ErrHost) || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%q: %v", raw, err)
		}
	}
}

func TestAFileIsNamedAfterItsPath(t *testing.T) {
	for raw, want := range map[string]string{
		"https://h/a/b.csv.zst?x=y": "b.csv.zst", "https://h/dir%2Fa%20b.csv": "a b.csv", "https://h/": "h", "https://h:8443": "h", "https://h/a/": "a",
	} {
		if got := open(t, raw).name(); got != want {
			t.Errorf("%s: %s, want %s", raw, got, want)
		}
	}
}

func TestAURLIsAskedAsItIsAndShownWithoutItsQuery(t *testing.T) {
	var seen string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = r.RequestURI
		w.WriteHeader(http.StatusForbidden)
	}))
	defer server.Close()
	const target = "/dir%2Fa%20b%2Bc.csv?Expires=1&Signature=CANARY%2F%3D"
	_, err := open(t, server.URL+target+"#fragment").ReadRange(context.Background(), 0, 10, "")
	if seen != target {
		t.Errorf("asked for %s, want %s", seen, target)
	}
	if err == nil || strings.Contains(err.Error(), "CANARY") || !strings.Contains(err.Error(), "/dir%2Fa%20b%2Bc.csv") {
		t.Errorf("%v", err)
	}
}

func TestAnErrorOfTheTransportShowsNoSecret(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"aborted":        func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"bad redirect":   func(w http.ResponseWriter, _ *http.Request) { redirect(w, "http://%zz/?Signature=CANARY") },
		"other host":     func(w http.ResponseWriter, _ *http.Request) { redirect(w, "http://h/?Signature=CANARY") },
		"unknown scheme": func(w http.ResponseWriter, _ *http.Request) { redirect(w, "gopher://h/?Signature=CANARY") },
	} {
		server := httptest.NewServer(handler)
		_, err := open(t, server.URL+"/a?Signature=CANARY").ReadRange(context.Background(), 0, 10, "")
		if err == nil || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: %v", name, err)
		}
		server.Close()
	}
	wrapped := &url.Error{Op: "Get", URL: "https://h/?Signature=CANARY", Err: io.EOF}
	err := fetch.TransportError(context.Background(), "GET https://h/", wrapped)
	if errors.Is(err, io.EOF) || !errors.Is(err, fetch.ErrTemporary) || strings.Contains(err.Error(), "CANARY") {
		t.Errorf("%v", err)
	}
}

func redirect(w http.ResponseWriter, to string) {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusFound)
}

func TestARedirectSendsNoReferer(t *testing.T) {
	var referer []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/a" {
			redirect(w, "/b")
			return
		}
		referer = r.Header["Referer"]
	}))
	defer server.Close()
	answer, err := open(t, server.URL+"/a?Signature=CANARY").ReadRange(context.Background(), 0, 10, "")
	if err != nil {
		t.Fatal(err)
	}
	answer.Close()
	if referer != nil {
		t.Errorf("Referer: %q", referer)
	}
}
