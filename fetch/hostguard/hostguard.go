// Package hostguard decides which hosts and addresses may be asked for data.
//
// The URL of an export comes from a service's answer, or from a redirect. It is
// not trusted: it must not lead to a host of somebody else, into the network
// that this process runs in, or to the credentials of this machine.
//
// Its words:
//
//   - A [Policy] says which hosts are allowed.
//   - A vendor's domain is one whose subdomains belong to the cloud. They may be
//     asked by https only, at its port, and only at public addresses.
//   - An allowed host is named by the operator. It may also be asked by http and
//     have a private address.
//   - A public address can be reached from anywhere on the Internet.
//   - The vendor's network is 100.64.0.0/10, where Alibaba Cloud has the internal
//     endpoints of its services.
//   - A [Network] says which of a vendor's endpoints is called: the public one, or
//     the internal one, which only the vendor's own machines reach.
//   - A metadata address is where a machine in a cloud asks for its credentials.
//     It is always refused.
//
// A policy is applied three times: [Policy.Check] looks at a URL before it is
// used, and the client of [Policy.Client] looks at the target of each redirect
// and, once the name is resolved, at each address that it dials.
package hostguard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"
)

// ErrHost is wrapped by every refusal of a host, an address or a redirect.
var ErrHost = errors.New("host refused")

// ErrProxy is wrapped by the errors of a proxy that refuses to reach a host, and of
// one whose address can't be read.
var ErrProxy = errors.New("not past the proxy")

// A NotAllowedError refuses a host that Policy.Allow could permit. It wraps
// ErrHost.
type NotAllowedError struct {
	Host   string // HOST or HOST:PORT, or "" if only its address is known
	Reason string // of what is refused, with its name or its address
}

// Error returns the reason.
func (e *NotAllowedError) Error() string { return ErrHost.Error() + ": " + e.Reason }

// Unwrap returns ErrHost.
func (e *NotAllowedError) Unwrap() error { return ErrHost }

// A Policy says which hosts may be asked for data. The zero Policy allows none.
// It may be used by many goroutines at once, and must not be changed then.
type Policy struct {
	Domains  []string // whose subdomains are allowed, as "aliyuncs.com"; "*" allows every host
	Allow    []string // HOST or HOST:PORT: allowed by http too, and at private addresses
	Internal bool     // the vendor's network counts as public

	resolver *net.Resolver // nil: the system's
}

// Check returns nil if the URL may be asked, else an error that wraps ErrHost: a
// *NotAllowedError if the operator could allow the host. It does not resolve
// names: the client of [Policy.Client] checks the addresses when it dials them.
func (p *Policy) Check(u *url.URL) error {
	host := u.Hostname()
	if u.User != nil {
		return fmt.Errorf("%w: the address of %s has a user name", ErrHost, u.Host)
	}
	if u.Scheme != "https" && u.Scheme != "http" {
		return fmt.Errorf("%w: %s by %s: it must be https", ErrHost, u.Host, u.Scheme)
	}
	if p.allows(host, cmp.Or(u.Port(), defaultPorts[u.Scheme])) {
		return nil
	}
	if u.Scheme != "https" {
		return &NotAllowedError{u.Host, fmt.Sprintf("%s by %s: it must be https", u.Host, u.Scheme)}
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if !slices.ContainsFunc(p.Domains, func(domain string) bool { return domain == "*" || strings.HasSuffix(name, "."+domain) }) {
		return &NotAllowedError{u.Host, fmt.Sprintf("%s is not in %s", u.Host, strings.Join(p.Domains, ", "))}
	}
	if port := u.Port(); port != "" && port != defaultPorts["https"] && !slices.Contains(p.Domains, "*") {
		return &NotAllowedError{u.Host, fmt.Sprintf("%s: no vendor has files at port %s", u.Host, port)}
	}
	if isNumeric(host) { // checked here too, since a proxy may do the dialling
		ip, err := netip.ParseAddr(host)
		if err != nil {
			return fmt.Errorf("%w: %s is neither a name nor an address in its usual form", ErrHost, host)
		}
		return p.checkIP(ip)
	}
	return nil
}

// isNumeric reports whether a host is an IP address in any notation that some
// program accepts: 2130706433, 0x7f.1 and 127.1 all mean 127.0.0.1 to many.
func isNumeric(host string) bool {
	last := strings.TrimSuffix(host, ".")
	last = strings.ToLower(last[strings.LastIndexByte(last, '.')+1:])
	if strings.Contains(host, ":") || strings.Trim(last, "0123456789") == "" && last != "" {
		return true
	}
	digits, hex := strings.CutPrefix(last, "0x")
	return hex && strings.Trim(digits, "0123456789abcdef") == ""
}

// defaultPorts are the ports of URLs without one, by scheme.
var defaultPorts = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}

// Allows reports whether Allow names the host of an http URL, given as HOST or
// HOST:PORT.
func (p *Policy) Allows(hostport string) bool {
	u := url.URL{Host: hostport}
	return p.allows(u.Hostname(), cmp.Or(u.Port(), defaultPorts["http"]))
}

// allows reports whether Allow names the host, with this port or without one.
func (p *Policy) allows(host, port string) bool {
	return slices.ContainsFunc(p.Allow, func(allowed string) bool {
		if strings.Count(allowed, ":") > 1 && !strings.HasPrefix(allowed, "[") {
			allowed = "[" + allowed + "]" // an IPv6 address
		}
		u := url.URL{Host: allowed}
		return strings.EqualFold(u.Hostname(), host) && (u.Port() == "" || u.Port() == port)
	})
}

// Client returns an HTTP client that checks every redirect and every address
// that it dials, and fails with an error that wraps ErrHost if one is refused. It
// follows at most 3 redirects, does not ask for compression, and decompresses
// nothing. The caller closes its idle connections.
//
// The client uses the proxies of the environment. A proxy resolves the names of
// hosts, so behind one only [Policy.Check] protects: the address of the host is
// not known here. The proxy itself may have a private address.
func (p *Policy) Client() *http.Client {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second, Resolver: p.resolver}
	guarded := *dialer
	guarded.Control = p.checkDial
	// Allowed hosts and proxies may have any address but that of a metadata service.
	dialer.Control = func(_, address string, _ syscall.RawConn) error {
		addr, err := netip.ParseAddrPort(address)
		if err == nil && slices.Contains(metadataAddresses, embeddedIPv4(addr.Addr()).WithZone("")) {
			return metadataError(addr.Addr())
		}
		return nil
	}
	proxies, unreadable := Proxies()
	return &http.Client{
		Transport: &http.Transport{
			Proxy: func(req *http.Request) (*url.URL, error) {
				ip, err := netip.ParseAddr(req.URL.Hostname())
				if unreadable != nil && (err != nil || !ip.IsLoopback()) { // net/http would go past it, as it does to this machine
					return nil, unreadable
				}
				return http.ProxyFromEnvironment(req)
			},
			OnProxyConnectResponse: checkProxyAnswer,
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				host, port, _ := net.SplitHostPort(addr)
				if p.allows(host, port) || slices.Contains(proxies, addr) {
					return dialer.DialContext(ctx, network, addr)
				}
				return guarded.DialContext(ctx, network, addr)
			},
			DisableCompression:     true,
			MaxIdleConnsPerHost:    64,
			IdleConnTimeout:        90 * time.Second,
			TLSHandshakeTimeout:    10 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			req.Header.Del("Referer") // the URL before, which may be signed
			if len(via) > maxRedirects {
				return fmt.Errorf("%w: more than %d redirects", ErrHost, maxRedirects)
			}
			return p.Check(req.URL)
		},
	}
}

const maxRedirects = 3
