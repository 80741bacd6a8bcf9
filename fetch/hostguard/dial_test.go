package hostguard

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A nameServer answers for every name with the next of its turns of addresses;
// the last turn is repeated for ever.
type nameServer struct {
	mu    sync.Mutex
	turns [][]string
	asked []string
}

// resolver returns a resolver that asks only this server.
func (n *nameServer) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go n.serve(theirs)
		return ours, nil // a stream: each message has its length before it
	}}
}

func (n *nameServer) serve(conn net.Conn) {
	defer conn.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, query); err != nil {
			return
		}
		answer := n.answer(query)
		conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
	}
}

// answer returns the response to a query: the addresses of the type that it
// asks for (RFC 1035, 4.1).
func (n *nameServer) answer(query []byte) []byte {
	end := 12
	for query[end] != 0 {
		end += int(query[end]) + 1
	}
	kind := binary.BigEndian.Uint16(query[end+1:])
	end += 5
	answer := append(slices.Clone(query[:4]), 0, 1, 0, 0, 0, 0, 0, 0)
	answer = append(answer, query[12:end]...)
	answer[2] |= 0x80 // it is a response
	for _, ip := range n.next(string(query[13:end-5]), kind) {
		b := ip.AsSlice()
		answer = append(answer, 0xc0, 12, byte(kind>>8), byte(kind), 0, 1, 0, 0, 0, 0, 0, byte(len(b)))
		answer = append(answer, b...)
		answer[7]++
	}
	return answer
}

const kindA, kindAAAA = 1, 28

func (n *nameServer) next(name string, kind uint16) (all []netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, text := range n.turns[0] {
		if ip := netip.MustParseAddr(text); kind == kindA && ip.Is4() || kind == kindAAAA && ip.Is6() {
			all = append(all, ip)
		}
	}
	if kind == kindA {
		n.asked = append(n.asked, name)
		n.turns = n.turns[min(1, len(n.turns)-1):]
	}
	return all
}

// target starts a server that fails the test if it is asked, and returns its
// port.
func target(t *testing.T) (port string) {
	t.Helper()
	s := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s was asked", r.Host) }))
	t.Cleanup(s.Close)
	_, port, _ = net.SplitHostPort(s.Listener.Addr().String())
	return port
}

// A name is resolved again for each dial, and every address of it is checked.
func TestEveryResolvedAddressIsChecked(t *testing.T) {
	for name, turns := range map[string][][]string{
		"loopback":                         {{"127.0.0.1"}},
		"one bad and another":              {{"127.0.0.1", "10.0.0.1"}},
		"both families":                    {{"::1", "127.0.0.1"}},
		"IPv4 in IPv6":                     {{"::ffff:127.0.0.1"}},
		"NAT64":                            {{"64:ff9b::7f00:1"}},
		"the machine's credentials":        {{"100.100.100.200"}},
		"the machine's credentials on AWS": {{"169.254.169.254"}, {"fd00:ec2::254"}},
		"first one, then another":          {{"10.9.8.7"}, {"127.0.0.1"}, {"::1"}},
	} {
		n := &nameServer{turns: turns}
		for _, p := range []*Policy{{Domains: []string{"*"}}, {Domains: []string{"aliyuncs.com"}}, {Domains: []string{"aliyuncs.com"}, Internal: true}} {
			p.resolver = n.resolver()
			client := p.Client()
			for range 3 {
				resp, err := client.Get("https://b.oss-cn-hangzhou.aliyuncs.com:" + target(t) + "/a")
				if err == nil {
					resp.Body.Close()
				}
				if !errors.Is(err, ErrHost) {
					t.Errorf("%s: %v", name, err)
				}
			}
			client.CloseIdleConnections()
		}
		if len(n.asked) < 9 {
			t.Errorf("%s: the name was resolved %d times for 9 requests", name, len(n.asked))
		}
	}
}

func TestAllowedHostsMayBePrivateButNotMetadata(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer s.Close()
	address := strings.Replace(s.URL, "127.0.0.1", "store.internal", 1)
	u, _ := url.Parse(address)
	for _, tt := range []struct {
		leadsTo string
		ok      bool
	}{{"127.0.0.1", true}, {"100.100.100.200", false}, {"169.254.169.254", false}, {"fd00:ec2::254", false}, {"::ffff:100.100.100.200", false}} {
		p := &Policy{Allow: []string{u.Host}, resolver: (&nameServer{turns: [][]string{{tt.leadsTo}}}).resolver()}
		client := p.Client()
		resp, err := client.Get(address)
		if err == nil {
			resp.Body.Close()
		}
		if (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrHost) {
			t.Errorf("%s: %v", tt.leadsTo, err)
		}
		if _, ok := errors.AsType[*NotAllowedError](err); ok {
			t.Errorf("%s: %v, but the host is allowed", tt.leadsTo, err)
		}
		client.CloseIdleConnections()
	}
}

// The target of a redirect is checked like the first URL.
func TestRedirectsAreChecked(t *testing.T) {
	p := &Policy{Domains: []string{"aliyuncs.com"}}
	for _, tt := range []struct {
		to string
		ok bool
	}{
		{"https://c.aliyuncs.com/a", true},
		{"http://c.aliyuncs.com/a", false},
		{"https://user:CANARY@c.aliyuncs.com/a", false},
		{"https://evil.example/a", false},
		{"https://127.0.0.1/a", false},
		{"https://100.100.100.200/latest/meta-data/", false},
		{"file:///etc/passwd", false},
		{"ftp://c.aliyuncs.com/a", false},
		{"gopher://c.aliyuncs.com/a", false},
		{"javascript:alert(1)", false},
		{"data:text/csv,a", false},
	} {
		u, err := url.Parse(tt.to)
		if err != nil {
			t.Fatal(err)
		}
		req := &http.Request{URL: u, Header: http.Header{"Referer": {"https://b.aliyuncs.com/?Signature=CANARY"}}}
		err = p.Client().CheckRedirect(req, make([]*http.Request, 1))
		if (err == nil) != tt.ok || err != nil && (!errors.Is(err, ErrHost) || strings.Contains(err.Error(), "CANARY")) {
			t.Errorf("%s: %v", tt.to, err)
		}
		if req.Header.Get("Referer") != "" {
			t.Errorf("%s is told where it comes from", tt.to)
		}
	}
}
