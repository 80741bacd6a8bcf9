package sandbox

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"tallyman/fetch/sandbox/internal/apierr"
	"tallyman/fetch/sandbox/internal/sign"
)

// Options are the keys that a cloud accepts, and its clock.
type Options struct {
	AccessKeyID     string
	AccessKeySecret string
	// SecurityToken is the one STS token that goes with the key. "" = the key
	// has none, and a request with a token is refused.
	SecurityToken string
	// AuthToken is what DIS accepts as X-Auth-Token. "" = none.
	AuthToken string
	// URLLifetime is how long a download URL is good for. 0 = an hour.
	URLLifetime time.Duration
	// Now returns the cloud's time. nil = time.Now.
	Now func() time.Time
}

// A Cloud is an http.Handler that answers for every API in the package comment.
// Make one with New. Its methods may be called at any time, from any goroutine,
// while it serves.
type Cloud struct {
	options Options
	account sign.Account

	mu        sync.Mutex
	projects  map[string]map[string]*jobState      // by project and job
	newest    map[string][]*jobState               // the jobs of a project, the newest first, if they are as they were when they were listed
	logstores map[string]map[string]*logstoreState // by project and log store
	quotas    map[string]int                       // unfinished jobs, by project
	creations map[string][]Creation                // by project
	added     int                                  // jobs and tasks so far: the next one's number
	orders    map[string]*orderState               // by "ORDER/KEY"
	instances map[string]*instanceState
	dumpTasks map[string]*dumpTaskState // by ID
	buckets   map[string]*bucketState
	nonces    map[string]time.Time // used ones, with the time of their use
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
		options: o,
		account: sign.Account{AccessKeyID: o.AccessKeyID, AccessKeySecret: o.AccessKeySecret, SecurityToken: o.SecurityToken, AuthToken: o.AuthToken, URLSecret: rand.Text()},
		counts: Counts{
			Calls: map[string]int{}, Refused: map[string]int{},
			Jobs: map[string]ItemCounts{}, Orders: map[string]ItemCounts{}, Tasks: map[string]ItemCounts{}, Objects: map[string]ItemCounts{},
		},
		projects: map[string]map[string]*jobState{}, newest: map[string][]*jobState{}, logstores: map[string]map[string]*logstoreState{}, quotas: map[string]int{}, creations: map[string][]Creation{}, orders: map[string]*orderState{}, instances: map[string]*instanceState{},
		dumpTasks: map[string]*dumpTaskState{}, buckets: map[string]*bucketState{}, nonces: map[string]time.Time{},
	}
}

// ServeHTTP answers one request. It panics with http.ErrAbortHandler where a
// fault cuts the response, which net/http understands.
func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch path := r.URL.Path; {
	case path == "/downloadjobs", strings.HasPrefix(path, "/downloadjobs/"), strings.HasPrefix(path, "/logstores/"), sign.IsSLS(r):
		c.serveSLS(w, r)
	case path == "/" && (r.Header.Get("x-acs-action") != "" || r.URL.Query().Has("Action") ||
		r.Method == http.MethodPost && !strings.HasPrefix(r.Header.Get("Authorization"), "OSS")): // its form may have the Action
		c.serveRPC(w, r)
	case isDIS(r):
		c.serveDIS(w, r)
	default:
		c.serveStore(w, r)
	}
}

// Start serves on a free port of 127.0.0.1 until stop is called, and returns
// the base URL, "http://127.0.0.1:PORT". A client of SLS puts "PROJECT." before
// its host, or sets ProjectHeader; for any other it is the endpoint as it is,
// and a client of a store names the bucket in the path. stop returns once every
// connection is closed. err is that of opening the port.
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

// Serve serves on l until ctx ends, then closes l and every connection. It
// returns nil when ctx has ended, and else the error of l.
func (c *Cloud) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{Handler: c, ReadHeaderTimeout: time.Minute}
	defer context.AfterFunc(ctx, func() { server.Close() })()
	err := server.Serve(l)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// splitHost divides a Host header into its first label and the rest. An IP
// address, or a name of one label, has no first label.
func splitHost(host string) (label, rest string) {
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

// origin returns the origin of a signed URL on that host.
func origin(r *http.Request, host string) string {
	if r.TLS != nil {
		return "https://" + host
	}
	return "http://" + host
}

// writeErrorHeader counts an error and writes all of its answer but the body.
func (c *Cloud) writeErrorHeader(w http.ResponseWriter, e *apierr.Error, contentType string) {
	c.count(func(n *Counts) { n.Refused[e.Code]++ })
	w.Header().Set("Content-Type", contentType)
	for name, value := range e.Headers {
		w.Header().Set(name, value)
	}
	w.WriteHeader(e.Status)
}

// writeJSON does not escape the & of a URL.
func writeJSON(w io.Writer, v any) {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.Encode(v)
}
