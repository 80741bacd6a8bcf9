package sandbox

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Options say whom the cloud believes, and what time it is there.
type Options struct {
	AccessKeyID     string
	AccessKeySecret string
	// SecurityToken is the one STS token that goes with the key. Empty: the
	// key is a plain one, and a request that bears a token is refused.
	SecurityToken string
	// AuthToken is what DIS takes as X-Auth-Token. Empty: none.
	AuthToken string
	// URLLifetime is how long a download URL is good for. 0 = an hour.
	URLLifetime time.Duration
	// Now tells the cloud's time. nil = time.Now.
	Now func() time.Time
}

// A Cloud is an http.Handler that answers for all of its projects and orders,
// and for the store that holds their files. Its methods may be called at any time,
// from any goroutine, while it serves.
type Cloud struct {
	options  Options
	storeKey string // signs download URLs: the cloud's own, not the customer's

	mu        sync.Mutex
	projects  map[string]map[string]*entry
	added     int
	orders    map[string]*orderEntry // by "ORDER/KEY"
	instances map[string]*instanceEntry
	nonces    map[string]time.Time // that were used, and when
	buckets   map[string]*bucketState
	dumps     map[string]*dumpEntry // by ID
	counts    Counts
}

// New returns a cloud with nothing in it.
func New(o Options) *Cloud {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.URLLifetime == 0 {
		o.URLLifetime = time.Hour
	}
	return &Cloud{
		options: o, storeKey: rand.Text(), counts: newCounts(),
		projects: map[string]map[string]*entry{}, orders: map[string]*orderEntry{}, instances: map[string]*instanceEntry{},
		nonces: map[string]time.Time{}, buckets: map[string]*bucketState{},
	}
}

// ServeHTTP answers a call of the job API, an RPC, or a request of the store. A
// fault that cuts a response panics with http.ErrAbortHandler, which net/http understands.
func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case isJobCall(r):
		c.serveJobs(w, r)
	case isRPC(r):
		c.serveRPC(w, r)
	case isDIS(r):
		c.serveDIS(w, r)
	case isOBS(r):
		c.serveOBS(w, r)
	default:
		c.serveStore(w, r)
	}
}

// Start serves on a free port of 127.0.0.1 until stop is called. The base URL
// has no project in it: a client of jobs puts "PROJECT." before its host. Of
// orders it is the endpoint as it is, and of buckets that of path style.
func (c *Cloud) Start() (baseURL string, stop func(), err error) {
	ctx, cancel := context.WithCancel(context.Background())
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		cancel()
		return "", nil, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Serve(ctx, l)
	}()
	return "http://" + l.Addr().String(), func() { cancel(); <-done }, nil
}

// Serve serves on l until ctx ends, then closes l and every connection. The
// end of ctx is no error.
func (c *Cloud) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{Handler: c, ReadHeaderTimeout: time.Minute}
	defer context.AfterFunc(ctx, func() { server.Close() })()
	err := server.Serve(l)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// splitHost divides a Host header into the project and the host that serves
// it. An IP address, or a name of one label, has no project.
func splitHost(host string) (project, rest string) {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	label, _, dotted := strings.Cut(name, ".")
	if !dotted || net.ParseIP(name) != nil {
		return "", host
	}
	return label, host[len(label)+1:]
}

func requestID() string {
	return rand.Text()[:24]
}
