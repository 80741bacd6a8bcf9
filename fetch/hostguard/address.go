package hostguard

import (
	"fmt"
	"net/netip"
	"slices"
	"syscall"
)

var (
	vendorNetwork   = netip.MustParsePrefix("100.64.0.0/10")
	alibabaMetadata = netip.MustParseAddr("100.100.100.200") // in the vendor's network
	nat64           = netip.MustParsePrefix("64:ff9b::/96")  // RFC 6052

	// metadataAddresses are where machines in a cloud get their credentials.
	metadataAddresses = []netip.Addr{alibabaMetadata, netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("fd00:ec2::254")}

	// publicIPv6 is the range of IPv6 that is routed on the Internet.
	publicIPv6 = netip.MustParsePrefix("2000::/3")

	// notPublic are the special ranges of RFC 6890 that netip has no method for,
	// and the ranges of IPv6 whose addresses contain an IPv4 address.
	notPublic = []netip.Prefix{
		vendorNetwork,
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

// checkDial is the control function of a net.Dialer. It sees the address that a
// name was resolved to, so a name can't lead to an address that is refused.
func (p *Policy) checkDial(_, address string, _ syscall.RawConn) error {
	addr, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %s", ErrHost, address)
	}
	return p.checkIP(addr.Addr())
}

func (p *Policy) checkIP(ip netip.Addr) error {
	ip = embeddedIPv4(ip)
	public := ip.IsGlobalUnicast() && !ip.IsPrivate() && ip.Zone() == "" && (ip.Is4() || publicIPv6.Contains(ip)) &&
		!slices.ContainsFunc(notPublic, func(n netip.Prefix) bool { return n.Contains(ip) })
	if public || p.Internal && vendorNetwork.Contains(ip) && ip != alibabaMetadata {
		return nil
	}
	if slices.Contains(metadataAddresses, ip.WithZone("")) {
		return metadataError(ip)
	}
	return &NotAllowedError{Reason: fmt.Sprintf("%s is not a public address", ip)}
}

func metadataError(ip netip.Addr) error {
	return fmt.Errorf("%w: %s is where a machine gets its credentials", ErrHost, ip)
}

// embeddedIPv4 returns the IPv4 address that an IPv6 address stands for, or the
// address itself. By NAT64, a network without IPv4 reaches hosts without IPv6.
func embeddedIPv4(ip netip.Addr) netip.Addr {
	ip = ip.Unmap()
	if b := ip.As16(); nat64.Contains(ip) {
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return ip
}
