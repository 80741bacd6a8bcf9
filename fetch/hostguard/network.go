package hostguard

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// A Network reports whether a provider is to call an endpoint that its vendor has for its
// own machines, HOST or HOST:PORT, rather than the public one. nil is the public network.
// It may be used by many goroutines at once.
type Network func(ctx context.Context, endpoint string) bool

// IsInternal calls n, unless that is nil.
func (n Network) IsInternal(ctx context.Context, endpoint string) bool {
	return n != nil && n(ctx, endpoint)
}

// InternalNetwork is the Network of the vendor's own machines.
func InternalNetwork(context.Context, string) bool { return true }

// How long an internal endpoint may take to answer, which is near if it is there at all,
// and how long what came of that holds.
const (
	probeTimeout = 2 * time.Second
	probeHolds   = 10 * time.Minute
)

// NewAutoNetwork returns a Network that asks an internal endpoint, without credentials,
// whether it is there: any answer by https says so, and failure to get one says that the
// public one is to be called. It remembers that for ten minutes. It asks by the transport
// of a client, so that a proxy and a policy of hosts count. tell is called each time that
// another endpoint is to be called than before, with why the internal one is not; nil if
// it is.
func NewAutoNetwork(client *http.Client, tell func(endpoint string, failure error)) Network {
	a := &autoNetwork{client: client, tell: tell, probes: map[string]*probe{}}
	return a.isInternal
}

type autoNetwork struct {
	client *http.Client
	tell   func(endpoint string, failure error)

	mu     sync.Mutex
	probes map[string]*probe // by endpoint
}

// A probe is what is known of one endpoint.
type probe struct {
	at       time.Time // when it was asked; zero: not yet
	internal bool
	asking   chan struct{} // nil, or closed when who asks it has its answer
}

func (a *autoNetwork) isInternal(ctx context.Context, endpoint string) bool {
	for ctx.Err() == nil {
		a.mu.Lock()
		p := a.probes[endpoint]
		if p == nil {
			p = &probe{}
			a.probes[endpoint] = p
		}
		internal, asking := p.internal, p.asking
		isKnown := !p.at.IsZero() && time.Since(p.at) < probeHolds
		if !isKnown && asking == nil {
			p.asking = make(chan struct{})
		}
		a.mu.Unlock()
		switch {
		case isKnown:
			return internal
		case asking == nil:
			return a.find(ctx, endpoint, p)
		}
		select {
		case <-asking:
		case <-ctx.Done():
		}
	}
	return false
}

// find asks an endpoint while others wait for what comes of it.
func (a *autoNetwork) find(ctx context.Context, endpoint string, p *probe) bool {
	failure := a.ask(ctx, endpoint)
	isTold := ctx.Err() == nil // else it says nothing of the endpoint
	a.mu.Lock()
	defer a.mu.Unlock()
	close(p.asking)
	p.asking = nil
	if isTold {
		isNew := p.at.IsZero() || p.internal != (failure == nil)
		p.at, p.internal = time.Now(), failure == nil
		if isNew {
			a.tell(endpoint, failure)
		}
	}
	return p.internal
}

// ask makes one call that follows no redirect and asks for nothing.
func (a *autoNetwork) ask(ctx context.Context, endpoint string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, "https://"+endpoint+"/", nil)
	if err != nil {
		return err
	}
	resp, err := a.client.Transport.RoundTrip(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}
