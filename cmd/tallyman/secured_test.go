package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/config"
	"tallyman/fetch/fetchtest"
	"tallyman/verify/archive"
)

// acceptsAs fails the test unless the ledger names the certificate of a client that accepts.
func acceptsAs(t *testing.T, client *http.Client, address string, store *archive.Archive) {
	t.Helper()
	asked, err := client.Get(address + "/act?verb=accept&ref=" + watchedPlace + "bad1")
	if err != nil {
		t.Fatal(err)
	}
	defer asked.Body.Close()
	text, _ := io.ReadAll(asked.Body)
	form := formOf(string(text))
	form.Set("reason", "seen")
	told, err := client.PostForm(address+"/act", form)
	if err != nil {
		t.Fatal(err)
	}
	told.Body.Close()
	if said := events(t, store, "bad1"); told.StatusCode != http.StatusOK || said[len(said)-1] != "accepted CN=client (page)" {
		t.Errorf("%d, the ledger says %q", told.StatusCode, said)
	}
}

// Where clients are to show certificates, who has none sees no page and no metrics, and whether
// the worker is well is told to all, without why.
func TestThePageIsForThoseWithACertificate(t *testing.T) {
	t.Parallel()
	a, store := newWatched(t)
	cert, key, pool := fetchtest.WriteCertificate(t, t.TempDir(), "page.internal")
	clientCert, clientKey, _ := fetchtest.WriteCertificate(t, t.TempDir(), "client")
	a.PageCert, a.PageKey, a.PageClientCA, a.Listen = cert, key, clientCert, freeAddress(t)
	address := a.Listen
	serving(t, a, store, true)
	pair, err := tls.LoadX509KeyPair(clientCert, clientKey)
	if err != nil {
		t.Fatal(err)
	}
	stranger := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}}
	known := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}}}}
	for _, test := range []struct {
		client *http.Client
		path   string
		want   int
		says   string
	}{
		{stranger, "/", http.StatusForbidden, "a certificate of the client is wanted"},
		{stranger, "/metrics", http.StatusForbidden, "a certificate"},
		{stranger, "/export?ref=" + watchedPlace + "bad1", http.StatusForbidden, "a certificate"},
		{stranger, "/livez", http.StatusOK, "ok"},
		{stranger, "/readyz", http.StatusOK, `{"check":"disk","ok":true}`},
		{known, "/", http.StatusOK, watchedPlace},
		{known, "/metrics", http.StatusOK, "tallyman_catalog_up 1"},
	} {
		answer, err := test.client.Get("https://" + address + test.path)
		if err != nil {
			t.Fatal(err)
		}
		said, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if answer.StatusCode != test.want || !strings.Contains(string(said), test.says) {
			t.Errorf("%s: %d %s", test.path, answer.StatusCode, said)
		}
	}
	acceptsAs(t, known, "https://"+address, store)
	var stdout, stderr bytes.Buffer
	if code := run([]string{"health", "--listen", address, "--config", "/dev/null"}, &stdout, &stderr); code != 0 || !strings.Contains(stdout.String(), "ok    archive") {
		t.Errorf("health: exit code %d: %s%s", code, &stdout, &stderr)
	}
}

// What others reach wants a token or certificates of clients, and certificates want TLS.
func TestThePageIsServedToOthersOnlySafely(t *testing.T) {
	t.Parallel()
	for said, change := range map[string]func(*config.Options){
		"by --page-client-ca":   func(o *config.Options) { o.Listen = "0.0.0.0:8410" },
		"others reach it":       func(o *config.Options) { o.Listen, o.PageCert = "0.0.0.0:8410", "tls.crt" },
		"needs --page-tls-cert": func(o *config.Options) { o.Listen, o.PageClientCA = "127.0.0.1:8410", "ca.crt" },
		"that it is of":         func(o *config.Options) { o.Listen, o.PageKey = "127.0.0.1:8410", "tls.key" },
		"at a loopback address alone": func(o *config.Options) {
			o.Listen, o.PageCert, o.PageClientCA, o.Pprof = "0.0.0.0:8410", "tls.crt", "ca.crt", true
		},
	} {
		a := &app{Options: config.New(providerNames)}
		change(a.Options)
		_, err := a.checkListen()
		if _, isUsage := errors.AsType[*cli.UsageError](err); !isUsage || !strings.Contains(err.Error(), said) {
			t.Errorf("want %q: %v", said, err)
		}
	}
	a := &app{Options: config.New(providerNames)}
	a.Listen, a.PageCert, a.PageClientCA = "0.0.0.0:8410", "tls.crt", "ca.crt"
	if _, err := a.checkListen(); err != nil {
		t.Errorf("with certificates alone: %v", err)
	}
}
