package fetch_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/hostguard"
)

// certificate returns a certificate for a host that signs itself, and its pool.
func certificate(t *testing.T, host string, until time.Time) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Corp\x1b[2J CA"}, DNSNames: []string{host},
		NotBefore: until.Add(-time.Hour), NotAfter: until, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, _ := x509.ParseCertificate(der)
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// What is wrong between here and the source is told apart, in one line that names
// what is at fault, and no password.
func TestEachWayToGetNoAnswerHasItsKind(t *testing.T) {
	valid, trusted := certificate(t, "store.example", time.Now().Add(time.Minute))
	stale, staleTrusted := certificate(t, "store.example", time.Now().Add(-time.Minute))
	for name, tt := range map[string]struct {
		certificate tls.Certificate
		pool        *x509.CertPool
		clients     tls.ClientAuthType
		host        string // whose address is the server's
		proxy       string // what it answers instead, as a proxy
		kind        error
		says        string
	}{
		"unknown authority":     {certificate: valid, host: "store.example", kind: fetch.ErrTLS, says: `unknown authority: it is "CN=Corp`},
		"another host's":        {certificate: valid, pool: trusted, host: "other.example", kind: fetch.ErrTLS, says: "valid for store.example, not other.example"},
		"out of date":           {certificate: stale, pool: staleTrusted, host: "store.example", kind: fetch.ErrTLS, says: "has expired or is not yet valid"},
		"wants a certificate":   {certificate: valid, pool: trusted, clients: tls.RequireAnyClientCert, host: "store.example", kind: fetch.ErrTLS, says: "remote error: tls: "},
		"no TLS":                {host: "store.example", kind: fetch.ErrTLS, says: "HTTP response to HTTPS client"},
		"no such host":          {kind: fetch.ErrNoSuchHost, says: ": no such host: nowhere.example"},
		"proxy wants a log-in":  {proxy: "407 Proxy Authentication Required", kind: fetch.ErrProxy, says: "answers 407 Proxy Authentication Required"},
		"proxy forbids it":      {proxy: "403 Forbidden", kind: fetch.ErrProxy, says: "answers 403 Forbidden"},
		"proxy finds no host":   {proxy: "502 Bad Gateway", kind: fetch.ErrUnreachable, says: "answers 502 Bad Gateway"},
		"proxy is away":         {proxy: "away", kind: fetch.ErrProxyAway, says: ": the proxy does not answer: dial tcp 127.0.0.1:1"},
		"nobody listens":        {host: "away", kind: fetch.ErrUnreachable, says: "connection refused"},
		"another protocol":      {host: "raw", kind: fetch.ErrTLS, says: "does not look like a TLS handshake"},
		"closed before it says": {host: "closed", kind: fetch.ErrUnreachable, says: "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			address := serveWrongly(t, tt.host, tt.proxy, &tls.Config{Certificates: []tls.Certificate{tt.certificate}, ClientAuth: tt.clients})
			transport := guardedTransport(t)
			transport.TLSClientConfig = &tls.Config{RootCAs: tt.pool, MaxVersion: tls.VersionTLS12}
			transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if host, _, _ := net.SplitHostPort(addr); host == "nowhere.example" {
					return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
				}
				return new(net.Dialer).DialContext(ctx, network, address)
			}
			if tt.proxy != "" {
				transport.Proxy = http.ProxyURL(&url.URL{Scheme: "http", User: url.UserPassword("user", "CANARY"), Host: "proxy.example:3128"})
			}
			target := "https://nowhere.example/x?Signature=CANARY"
			if tt.host != "" {
				target = "https://" + tt.host + "/x?Signature=CANARY"
			}
			resp, err := (&http.Client{Transport: transport}).Get(target)
			if err == nil {
				resp.Body.Close()
				t.Fatal("there is an answer")
			}
			err = fetch.TransportError(t.Context(), "GET https://h/x", err)
			text := err.Error()
			if !errors.Is(err, tt.kind) || !strings.Contains(text, tt.says) || strings.Contains(text, "CANARY") || strings.ContainsAny(text, "\x1b\n") {
				t.Errorf("%q, want %v with %q", text, tt.kind, tt.says)
			}
			temporary := !errors.Is(tt.kind, fetch.ErrTLS) && !errors.Is(tt.kind, fetch.ErrProxy)
			if errors.Is(err, fetch.ErrTemporary) != temporary || errors.Is(err, fetch.ErrUnreachable) != temporary {
				t.Errorf("%v: that it may pass is not told right", err)
			}
		})
	}
}

// guardedTransport returns the transport of a guarded client.
func guardedTransport(t *testing.T) *http.Transport {
	t.Helper()
	transport := (&hostguard.Policy{Domains: []string{"*"}}).Client().Transport.(*http.Transport)
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// serveWrongly starts a server that answers as host or proxy say, and returns its
// address.
func serveWrongly(t *testing.T, host, proxy string, config *tls.Config) string {
	t.Helper()
	if host == "away" || proxy == "away" {
		return "127.0.0.1:1"
	}
	if proxy == "" && (host == "raw" || host == "closed") {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { listener.Close() })
		go func() {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			conn.Read(make([]byte, 1<<10))
			if host == "raw" {
				io.WriteString(conn, "220 ftp.example ready\r\n")
			}
		}()
		return listener.Addr().String()
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if proxy != "" {
			conn, _, _ := w.(http.Hijacker).Hijack()
			defer conn.Close()
			io.WriteString(conn, "HTTP/1.1 "+proxy+"\r\nContent-Length: 0\r\n\r\n")
		}
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	if proxy == "" && config.Certificates[0].PrivateKey != nil {
		server.TLS = config
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// A process without file descriptors is not taken for a source that is away.
func TestTooFewOpenFilesAreNoOutageOfTheSource(t *testing.T) {
	err := fetch.TransportError(t.Context(), "GET", &net.OpError{Op: "dial", Err: syscall.EMFILE})
	if !errors.Is(err, syscall.EMFILE) || errors.Is(err, fetch.ErrUnreachable) {
		t.Errorf("%v", err)
	}
}
