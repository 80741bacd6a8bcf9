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

	resolver *net.Resolver // nil: the system's
}

// Check reports whether the address may be asked, as ErrHost with the remedy.
func (h *Hosts) Check(u *url.URL) error {
	switch {
	case u.User != nil:
		return fmt.Errorf("%w: the address of %s has a user name", ErrHost, u.Host)
	case u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("%w: %s by %s: it must be https", ErrHost, u.Host, u.Scheme)
	case h.allowed(u.Hostname(), cmp.Or(u.Port(), ports[u.Scheme])):
		return nil
	case u.Scheme != "https":
		return fmt.Errorf("%w: %s by %s: https is a must but for a host that --allow-host names", ErrHost, u.Host, u.Scheme)
	case !h.inDomains(u.Hostname()):
		return fmt.Errorf("%w: %s is not in %s: name it by --allow-host %s if you trust it", ErrHost, u.Host, strings.Join(h.Domains, ", "), u.Host)
	case isNumber(u.Hostname()):
		return h.checkNumber(u.Hostname())
	}
	return nil
}

// isNumber reports whether a host is an address, in any form that something may
// take for one: 2130706433, 0x7f.1 and 127.1 are 127.0.0.1 to many.
func isNumber(host string) bool {
	last := strings.TrimSuffix(host, ".")
	last = strings.ToLower(last[strings.LastIndexByte(last, '.')+1:])
	if strings.Contains(host, ":") || strings.Trim(last, "0123456789") == "" && last != "" {
		return true
	}
	digits, hex := strings.CutPrefix(last, "0x")
	return hex && strings.Trim(digits, "0123456789abcdef") == ""
}

// checkNumber judges a host that is an address before it is dialled, since a
// proxy may be who dials.
func (h *Hosts) checkNumber(host string) error {
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return fmt.Errorf("%w: %s is neither a name nor an address in its usual form", ErrHost, host)
	}
	return h.judge(ip)
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
//
// Where there is a proxy, that is what is dialled, and it resolves the names of
// hosts: then they are held to Check alone.
func (h *Hosts) Client() *http.Client {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second, Resolver: h.resolver, Control: notMetadata}
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
	return h.judge(addr.Addr())
}

func (h *Hosts) judge(ip netip.Addr) error {
	ip = embedded(ip)
	if isPublic(ip) || h.Internal && vendorNet.Contains(ip) && ip != metadata {
		return nil
	}
	return fmt.Errorf("%w: it resolves to %s, an address that is not public: name the host by --allow-host if that is meant", ErrHost, ip)
}

// notMetadata is the control of hosts that are allowed by name: they may be
// anywhere but where machines ask for their own credentials.
func notMetadata(_, address string, _ syscall.RawConn) error {
	addr, err := netip.ParseAddrPort(address)
	if err == nil && slices.Contains(credentialed, embedded(addr.Addr()).WithZone("")) {
		return fmt.Errorf("%w: %s is where a machine asks for its credentials", ErrHost, addr.Addr())
	}
	return nil
}

// embedded is the IPv4 address that an IPv6 one stands for, or the same. By
// NAT64 a network without IPv4 reaches all that has no IPv6.
func embedded(ip netip.Addr) netip.Addr {
	ip = ip.Unmap()
	if b := ip.As16(); nat64.Contains(ip) {
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return ip
}

var (
	vendorNet = netip.MustParsePrefix("100.64.0.0/10")
	metadata  = netip.MustParseAddr("100.100.100.200")
	nat64     = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052

	// credentialed are where the clouds' machines ask for their credentials.
	credentialed = []netip.Addr{metadata, netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("fd00:ec2::254")}

	// unicast6 are the IPv6 addresses that are routed on the Internet.
	unicast6 = netip.MustParsePrefix("2000::/3")

	// special are the blocks of RFC 6890 that netip has no word for, and those
	// of IPv6 that carry an IPv4 address inside.
	special = []netip.Prefix{
		vendorNet,
		netip.MustParsePrefix("0.0.0.0/8"),
		netip.MustParsePrefix("192.0.0.0/24"),
		netip.MustParsePrefix("192.0.2.0/24"),
		netip.MustParsePrefix("192.88.99.0/24"),
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
