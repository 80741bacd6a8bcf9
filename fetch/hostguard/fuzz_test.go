package hostguard

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

// refusedNets are dialled only if the policy allows the host.
var refusedNets = []string{
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.168.0.0/16",
	"198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"::/8", "100::/64", "2001::/32", "2001:db8::/32", "2002::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
}

// An address that is not public is not dialled, however it is written. Metadata
// addresses are never dialled.
func FuzzDialledAddress(f *testing.F) {
	for _, s := range []string{"100.100.100.200:80", "[::ffff:100.100.100.200]:80", "[::ffff:a9fe:a9fe]:443", "8.8.8.8:443", "[2400:3200::1]:443", "[fe80::1%eth0]:1",
		"127.1:80", "[::1]:80", "2130706433:80", "0x7f.0.0.1:80", "[64:ff9b::7f00:1]:1", "1.1.1.1:99999", ""} {
		f.Add(s)
	}
	var nets []netip.Prefix
	for _, s := range refusedNets {
		nets = append(nets, netip.MustParsePrefix(s))
	}
	f.Fuzz(func(t *testing.T, address string) {
		public, internal := (&Policy{}).checkDial("tcp", address, nil), (&Policy{Internal: true}).checkDial("tcp", address, nil)
		if public == nil && internal != nil || public != nil && !errors.Is(public, ErrHost) || internal != nil && !errors.Is(internal, ErrHost) {
			t.Fatalf("%q: %v, within the vendor's network %v", address, public, internal)
		}
		parsed, err := netip.ParseAddrPort(address)
		if err != nil {
			if internal == nil {
				t.Errorf("%q is dialled", address)
			}
			return
		}
		ip := parsed.Addr().Unmap()
		if s, ok := strings.CutPrefix(ip.StringExpanded(), "0064:ff9b:0000:0000:0000:0000:"); ok && ip.Zone() == "" { // judged by the IPv4 address inside
			ip = netip.MustParseAddr("::ffff:" + s).Unmap()
		}
		for _, n := range nets {
			if n.Contains(ip.WithZone("")) && (public == nil || internal == nil && n.String() != "100.64.0.0/10") {
				t.Errorf("%q, in %s, is dialled", address, n)
			}
		}
		if ip == netip.MustParseAddr("100.100.100.200") && internal == nil {
			t.Errorf("%q is dialled", address)
		}
		if ip.Is4() {
			mapped := netip.AddrPortFrom(netip.AddrFrom16(ip.As16()), parsed.Port()).String()
			if got := (&Policy{}).checkDial("tcp6", mapped, nil); (got == nil) != (public == nil) {
				t.Errorf("%s: %v, but %s: %v", address, public, mapped, got)
			}
		}
	})
}

// Check passes only https to a subdomain of the vendor's, or an allowed host.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{"https://b.aliyuncs.com/a", "http://b.aliyuncs.com/a", "https://b.aliyuncs.com@evil/a", "https://evil/?b.aliyuncs.com",
		"http://store.internal:9000/a", "https://b.aliyuncs.com./", "https://aliyuncs.com", "https://[::1]:9000/", "https://b.aliyuncs.com:8443\\@evil"} {
		f.Add(s, "store.internal:9000")
		f.Add(s, "[::1]")
	}
	f.Fuzz(func(t *testing.T, address, allow string) {
		u, err := url.Parse(address)
		if err != nil {
			return
		}
		vendor := u.Scheme == "https" && u.User == nil && strings.HasSuffix(strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")), ".aliyuncs.com")
		if err := (&Policy{Domains: []string{"aliyuncs.com"}}).Check(u); (err == nil) != vendor || err != nil && !errors.Is(err, ErrHost) {
			t.Errorf("%q: %v", address, err)
		}
		named := strings.EqualFold(u.Hostname(), strings.Trim(allow, "[]")) || strings.HasPrefix(strings.ToLower(allow), strings.ToLower(u.Hostname())+":") ||
			strings.HasPrefix(strings.ToLower(allow), "["+strings.ToLower(u.Hostname())+"]")
		if err := (&Policy{Allow: []string{allow}}).Check(u); err == nil && (u.User != nil || !named) {
			t.Errorf("%q passes by %q", address, allow)
		}
	})
}
