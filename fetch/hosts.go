package fetch

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Hosts are the hosts that may be asked for data. The addresses come from
// services, so they are not trusted: https to a vendor's domain is allowed,
// and anything else only by name. What a name resolves to must be a public
// address, so that no answer can lead into the network that we run in.
type Hosts struct {
	Domains  []string // whose subdomains are allowed: "aliyuncs.com"; "*" allows all
	Allow    []string // HOST or HOST:PORT: allowed by http too, and at private addresses
	Internal bool     // the vendor's own network, 100.64.0.0/10, counts as public
}

// Check reports whether the address may be asked, as ErrHost with the remedy.
func (h *Hosts) Check(u *url.URL) error {
	switch {
	case u.User != nil:
		return fmt.Errorf("%w: the address of %s has a user name", ErrHost, u.Host)
	case h.allowed(u.Hostname(), cmp.Or(u.Port(), ports[u.Scheme])):
		return nil
	case u.Scheme != "https":
		return fmt.Errorf("%w: %s by %s: https is a must but for a host that --allow-host names", ErrHost, u.Host, u.Scheme)
	case !h.inDomains(u.Hostname()):
		return fmt.Errorf("%w: %s is not in %s: name it by --allow-host %s if you trust it", ErrHost, u.Host, strings.Join(h.Domains, ", "), u.Host)
	}
	return nil
}

// ports are those of addresses without one.
var ports = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}

func (h *Hosts) inDomains(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return slices.ContainsFunc(h.Domains, func(domain string) bool {
		return domain == "*" || strings.HasSuffix(host, "."+domain)
	})
}

// Allows reports whether Allow names the host of an http address, HOST or
// HOST:PORT.
func (h *Hosts) Allows(hostport string) bool {
	u := url.URL{Host: hostport}
	return h.allowed(u.Hostname(), cmp.Or(u.Port(), ports["http"]))
}

// allowed reports whether Allow names the host, with that port or without any.
func (h *Hosts) allowed(host, port string) bool {
	return slices.ContainsFunc(h.Allow, func(allow string) bool {
		if strings.Count(allow, ":") > 1 && !strings.HasPrefix(allow, "[") {
			allow = "[" + allow + "]" // IPv6
		}
		u := url.URL{Host: allow}
		return strings.EqualFold(u.Hostname(), host) && (u.Port() == "" || u.Port() == port)
	})
}

// Client is an HTTP client that keeps to the hosts, at each redirect and at
// each dial. It takes proxies from the environment, asks for no compression
// and undoes none.
func (h *Hosts) Client() *http.Client {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	guarded := *dialer
	guarded.Control = h.control
	proxies := proxiesFromEnvironment()
	return &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment,
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				host, port, _ := net.SplitHostPort(addr)
				if h.allowed(host, port) || slices.Contains(proxies, addr) {
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
		CheckRedirect: h.checkRedirect,
	}
}

const maxRedirects = 3

func (h *Hosts) checkRedirect(req *http.Request, via []*http.Request) error {
	req.Header.Del("Referer") // it is the address before, with its query
	if len(via) > maxRedirects {
		return fmt.Errorf("%w: more than %d redirects", ErrHost, maxRedirects)
	}
	return h.Check(req.URL)
}

// control looks at the address that is dialled, after the name was resolved.
func (h *Hosts) control(_, address string, _ syscall.RawConn) error {
	addr, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %s", ErrHost, address)
	}
	ip := addr.Addr().Unmap()
	if isPublic(ip) || h.Internal && vendorNet.Contains(ip) && ip != metadata {
		return nil
	}
	return fmt.Errorf("%w: it resolves to %s, an address that is not public: name the host by --allow-host if that is meant", ErrHost, ip)
}

var (
	vendorNet = netip.MustParsePrefix("100.64.0.0/10")
	metadata  = netip.MustParseAddr("100.100.100.200")

	// unicast6 are the IPv6 addresses that are routed on the Internet.
	unicast6 = netip.MustParsePrefix("2000::/3")

	// special are the blocks of RFC 6890 that netip has no word for, and those
	// of IPv6 that carry an IPv4 address inside.
	special = []netip.Prefix{
		vendorNet,
		netip.MustParsePrefix("0.0.0.0/8"),
		netip.MustParsePrefix("192.0.0.0/24"),
		netip.MustParsePrefix("192.0.2.0/24"),
		netip.MustParsePrefix("198.18.0.0/15"),
		netip.MustParsePrefix("198.51.100.0/24"),
		netip.MustParsePrefix("203.0.113.0/24"),
		netip.MustParsePrefix("240.0.0.0/4"),
		netip.MustParsePrefix("2001::/23"),
		netip.MustParsePrefix("2001:db8::/32"),
		netip.MustParsePrefix("2002::/16"),
		netip.MustParsePrefix("3fff::/20"),
	}
)

func isPublic(ip netip.Addr) bool {
	return ip.IsGlobalUnicast() && !ip.IsPrivate() && ip.Zone() == "" && (ip.Is4() || unicast6.Contains(ip)) &&
		!slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// proxiesFromEnvironment are the addresses that the proxies of the environment
// are dialled at. The operator chose them, so they may be private.
func proxiesFromEnvironment() []string {
	var addrs []string
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"} {
		proxy := os.Getenv(name)
		if proxy == "" {
			continue
		}
		if !strings.Contains(proxy, "://") {
			proxy = "http://" + proxy
		}
		if u, err := url.Parse(proxy); err == nil {
			addrs = append(addrs, net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), ports[u.Scheme])))
		}
	}
	return addrs
}
