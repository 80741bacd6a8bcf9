package doctor

import (
	"cmp"
	"context"
	"crypto/x509"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"tallyman/fetch/hostguard"
	"tallyman/fetch/redact"
)

const (
	// maxSkew is how far a clock may be off: vendors refuse signatures that are off by
	// more than 15 minutes.
	maxSkew = 10 * time.Minute
	// goodSkew is more than a clock that is set by NTP is off, and what an answer takes.
	goodSkew = 30 * time.Second
	// dialTimeout is for a connection to a proxy.
	dialTimeout = 5 * time.Second
)

// A Watch is a transport that notes which hosts have answered, and by how much their
// clocks differ from this one's. It may be used by many goroutines at once.
type Watch struct {
	Now func() time.Time // the own clock; nil is time.Now

	mu    sync.Mutex
	skews map[string]time.Duration
}

// Wrap returns a transport that is watched.
func (w *Watch) Wrap(next http.RoundTripper) http.RoundTripper {
	return watched{w, cmp.Or[http.RoundTripper](next, http.DefaultTransport)}
}

type watched struct {
	watch *Watch
	next  http.RoundTripper
}

func (t watched) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	now := time.Now
	if t.watch.Now != nil {
		now = t.watch.Now
	}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		t.watch.mu.Lock()
		defer t.watch.mu.Unlock()
		if t.watch.skews == nil {
			t.watch.skews = map[string]time.Duration{}
		}
		t.watch.skews[req.URL.Host] = now().Sub(date)
	}
	return resp, nil
}

// Clock judges the own clock by those of the hosts that have answered.
func (r *Report) Clock(w *Watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.skews) == 0 {
		r.Warn("clock", "name a place, such as tallyman doctor sls://REGION/PROJECT/", "no service has answered with its time, so the clock could not be compared")
		return
	}
	hosts := slices.Sorted(maps.Keys(w.skews))
	worst := slices.MaxFunc(hosts, func(a, b string) int { return cmp.Compare(w.skews[a].Abs(), w.skews[b].Abs()) })
	skew, side := w.skews[worst], "ahead of"
	if skew < 0 {
		side = "behind"
	}
	const advice = "have the clock set by NTP: timedatectl set-ntp true"
	switch said := skew.Abs().Round(time.Second); {
	case skew.Abs() > maxSkew:
		r.Fail("clock", advice, "it is %v %s %s, and signatures are refused", said, side, worst)
	case skew.Abs() > goodSkew:
		r.Warn("clock", advice, "it is %v %s %s", said, side, worst)
	default:
		r.OK("clock", "within %v of %s", goodSkew, worst)
	}
}

// Reach asks a URL without credentials. Any answer will do.
func (r *Report) Reach(ctx context.Context, client *http.Client, url, advice string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, url, nil)
	if err != nil {
		r.Fail("endpoint", advice, "%s", redact.Text(err.Error()))
		return
	}
	began := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		r.Fail("endpoint", advice, "%s", redact.Text(err.Error()))
		return
	}
	resp.Body.Close()
	r.OK("endpoint", "%s answers within %v", req.URL.Host, time.Since(began).Round(time.Millisecond))
}

// Proxies looks at the proxies of the environment, and whether anything listens there.
func (r *Report) Proxies(ctx context.Context) {
	addrs, err := hostguard.Proxies()
	switch {
	case err != nil:
		r.Fail("proxy", "set it to http://HOST:PORT, or unset it", "%v", err)
		return
	case len(addrs) == 0:
		r.OK("proxy", "none")
	}
	slices.Sort(addrs)
	for _, addr := range slices.Compact(addrs) {
		dialer := net.Dialer{Timeout: dialTimeout}
		conn, err := dialer.DialContext(ctx, "tcp", addr)
		if err != nil {
			r.Fail("proxy", "start the proxy, or unset HTTPS_PROXY and HTTP_PROXY; NO_PROXY names hosts to be asked directly", "%s: %v", addr, err)
			continue
		}
		conn.Close()
		r.OK("proxy", "%s takes connections", addr)
	}
}

// Authorities looks whether the file of SSL_CERT_FILE, if that is set, has certificates.
func (r *Report) Authorities() {
	path := os.Getenv("SSL_CERT_FILE")
	if path == "" {
		return
	}
	pem, err := os.ReadFile(path)
	if err == nil && !x509.NewCertPool().AppendCertsFromPEM(pem) {
		r.Fail("tls", "name a file of certificates in the form of PEM", "SSL_CERT_FILE: %s has no certificate in it", path)
		return
	}
	if err != nil {
		r.Fail("tls", "name a file of certificates in the form of PEM, or unset it", "SSL_CERT_FILE: %v", err)
		return
	}
	r.OK("tls", "authorities of %s are trusted besides the system's", path)
}
