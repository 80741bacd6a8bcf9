package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"tallyman/fetch/fetchtest"
)

// handshake returns whose certificate the server shows to a client, and what the server knows
// of that one.
func handshake(t *testing.T, server *tls.Config, client *tls.Config) (name string, of tls.ConnectionState, err error) {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	serving := tls.Server(a, server)
	done := make(chan error, 1)
	go func() { done <- serving.Handshake() }()
	calling := tls.Client(b, client)
	go func() { _, _ = calling.Read(make([]byte, 1)) }() // which takes tickets, and the verdict on its certificate
	if err := calling.Handshake(); err != nil {
		return "", of, err
	}
	if err := <-done; err != nil {
		return "", of, err
	}
	return calling.ConnectionState().PeerCertificates[0].Subject.CommonName, serving.ConnectionState(), nil
}

// A renewed certificate is shown by the next handshake; while it can't be read, as when its key
// has not come yet, the one before is, and that is told once.
func TestARenewedCertificateIsShown(t *testing.T) {
	dir := t.TempDir()
	cert, key, pool := fetchtest.WriteCertificate(t, dir, "first")
	var said bytes.Buffer
	config, err := Files{Cert: cert, Key: key}.Config(slog.New(slog.NewTextHandler(&said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	shows := func(want string, trusted *x509.CertPool) {
		t.Helper()
		if name, _, err := handshake(t, config, &tls.Config{RootCAs: trusted, ServerName: want}); name != want {
			t.Errorf("it shows %q, want %q: %v", name, want, err)
		}
	}
	shows("first", pool)
	next := t.TempDir()
	newCert, newKey, newPool := fetchtest.WriteCertificate(t, next, "second-and-longer")
	move := func(from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(to, time.Time{}, time.Now().Add(time.Minute)); err != nil { // clocks of file systems are coarse
			t.Fatal(err)
		}
	}
	move(newCert, cert)
	shows("first", pool)
	shows("first", pool)
	if n := strings.Count(said.String(), "can't be read"); n != 1 {
		t.Errorf("it was told %d times: %s", n, &said)
	}
	move(newKey, key)
	shows("second-and-longer", newPool)
	if !strings.Contains(said.String(), "a new certificate was read") {
		t.Errorf("it was not told: %s", &said)
	}
}

// A client is known by a certificate of the authorities alone, and one without is known as none.
func TestAClientIsKnownByItsCertificate(t *testing.T) {
	cert, key, pool := fetchtest.WriteCertificate(t, t.TempDir(), "server")
	clientCert, clientKey, _ := fetchtest.WriteCertificate(t, t.TempDir(), "client")
	strangerCert, strangerKey, _ := fetchtest.WriteCertificate(t, t.TempDir(), "stranger")
	config, err := Files{Cert: cert, Key: key, ClientCA: clientCert}.Config(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	with := func(cert, key string) *tls.Config {
		c := &tls.Config{RootCAs: pool, ServerName: "server"}
		if cert != "" {
			pair, err := tls.LoadX509KeyPair(cert, key)
			if err != nil {
				t.Fatal(err)
			}
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		}
		return c
	}
	for who, test := range map[string]struct {
		config *tls.Config
		chains int
		fails  bool
	}{
		"client": {with(clientCert, clientKey), 1, false}, "nobody": {with("", ""), 0, false}, "stranger": {with(strangerCert, strangerKey), 0, true},
	} {
		if _, state, err := handshake(t, config, test.config); (err != nil) != test.fails || len(state.VerifiedChains) != test.chains {
			t.Errorf("%s: %d chains, %v", who, len(state.VerifiedChains), err)
		}
	}
}

// What can't be read is refused before anything is served.
func TestWrongFilesAreRefused(t *testing.T) {
	cert, key, _ := fetchtest.WriteCertificate(t, t.TempDir(), "server")
	_, other, _ := fetchtest.WriteCertificate(t, t.TempDir(), "other")
	for _, f := range []Files{{Cert: "none", Key: key}, {Cert: cert, Key: other}, {Cert: cert}, {Cert: cert, Key: key, ClientCA: key}, {Cert: cert, Key: key, ClientCA: "none"}} {
		if _, err := f.Config(slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%+v is taken", f)
		}
	}
}
