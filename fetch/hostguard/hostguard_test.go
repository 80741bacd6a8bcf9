package hostguard

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

func TestCheckAllowsOnlyNamedHostsAndDomains(t *testing.T) {
	vendor := &Policy{Domains: []string{"aliyuncs.com", "myhuaweicloud.com"},
		Allow: []string{"store.internal", "10.0.0.5:9000", "[2001:db8::1]:8443", "::1", "secure.internal:443"}}
	anywhere := &Policy{Domains: []string{"*"}}
	for _, tt := range []struct {
		policy *Policy
		url    string
		ok     bool
	}{
		{vendor, "https://b.oss-cn-hangzhou.aliyuncs.com/a", true},
		{vendor, "https://B.OSS-cn-hangzhou.ALIYUNCS.com/a", true},
		{vendor, "https://b.obs.cn-north-4.myhuaweicloud.com/a", true},
		{vendor, "https://b.oss-cn-hangzhou.aliyuncs.com:443/a", true},
		{vendor, "https://b.oss-cn-hangzhou.aliyuncs.com./a", true},
		{vendor, "https://b.oss-cn-hangzhou.aliyuncs.com:8443/a", false},
		{vendor, "https://b.oss-cn-hangzhou.aliyuncs.com:80/a", false},
		{vendor, "https://b.oss-cn-hangzhou.aliyuncs.com:22/a", false},
		{vendor, "http://b.oss-cn-hangzhou.aliyuncs.com/a", false},
		{vendor, "ftp://b.oss-cn-hangzhou.aliyuncs.com/a", false},
		{vendor, "https://aliyuncs.com/a", false},
		{vendor, "https://xaliyuncs.com/a", false},
		{vendor, "https://b.xaliyuncs.com/a", false},
		{vendor, "https://aliyuncs.com.evil.com/a", false},
		{vendor, "https://b.aliyuncs.com.evil.com/a", false},
		{vendor, "https://evil.com/b.aliyuncs.com", false},
		{vendor, "https://evil.com?b.aliyuncs.com", false},
		{vendor, "https://evil.com#b.aliyuncs.com", false},
		{vendor, "https://b.aliyuncs.com@evil.com/a", false},
		{vendor, "https://user@b.aliyuncs.com/a", false},
		{vendor, "https://user:password@store.internal/a", false},
		{vendor, "https://evil.com:80\\@b.aliyuncs.com/", false},
		{vendor, "https://100.100.100.200/a", false},
		{vendor, "https://2130706433/a", false},
		{vendor, "https://0x7f.1/a", false},
		{vendor, "https://0177.0.0.1/a", false},
		{vendor, "https://[::ffff:127.0.0.1]/a", false},
		{vendor, "https:///a", false},
		{vendor, "https://b.aliyuncs.com.evil.example/a", false},
		{vendor, "https://evilaliyuncs.com/a", false},
		{vendor, "https://b.\u0430liyuncs.com/a", false}, // Cyrillic
		{vendor, "https://b.xn--liyuncs-3fg.com/a", false},
		{vendor, "https://b\u3002aliyuncs\u3002com/a", false},
		{vendor, "https://b.aliyuncs.com%00.evil.example/a", false},
		{vendor, "https://b.aliyuncs.com%2eevil.example/a", false},
		{vendor, "https://b.aliyuncs.com..evil.example/a", false},
		{vendor, "file:///b.aliyuncs.com/etc/passwd", false},
		{vendor, "gopher://store.internal/a", false},

		{vendor, "http://store.internal/a", true},
		{vendor, "https://STORE.internal:8443/a", true},
		{vendor, "http://store.internal.evil.com/a", false},
		{vendor, "http://xstore.internal/a", false},
		{vendor, "http://10.0.0.5:9000/a", true},
		{vendor, "https://10.0.0.5:9000/a", true},
		{vendor, "http://10.0.0.5/a", false},
		{vendor, "http://10.0.0.5:90/a", false},
		{vendor, "http://[2001:db8::1]:8443/a", true},
		{vendor, "http://[2001:DB8::1]:8443/a", true},
		{vendor, "http://[2001:db8::1]/a", false},
		{vendor, "http://[::1]:7/a", true},
		{vendor, "https://secure.internal/a", true},
		{vendor, "http://secure.internal:443/a", true},
		{vendor, "http://secure.internal/a", false},

		{anywhere, "https://example.com/a", true},
		{anywhere, "https://example.com:8443/a", true},
		{anywhere, "http://example.com/a", false},
		{anywhere, "https://user@example.com/a", false},
		{anywhere, "https://example.com./a", true},
		{anywhere, "https://8.8.8.8/a", true},
		{anywhere, "https://[2606:4700::1111]/a", true},
		{anywhere, "http://8.8.8.8/a", false},
		{anywhere, "ftp://example.com/a", false},
		{anywhere, "https://127.0.0.1/a", false},
		{anywhere, "https://127.0.0.1./a", false},
		{anywhere, "https://169.254.169.254/a", false},
		{anywhere, "https://100.100.100.200/a", false},
		{anywhere, "https://[::1]/a", false},
		{anywhere, "https://[::ffff:127.0.0.1]/a", false},
		{anywhere, "https://[64:ff9b::a9fe:a9fe]/a", false},
		{anywhere, "https://[fe80::1%25eth0]/a", false},
		{anywhere, "https://2130706433/a", false},
		{anywhere, "https://017700000001/a", false},
		{anywhere, "https://0177.0.0.1/a", false},
		{anywhere, "https://0x7f000001/a", false},
		{anywhere, "https://0x7f.1/a", false},
		{anywhere, "https://127.0.0.0X1/a", false},
		{anywhere, "https://127.1/a", false},
		{anywhere, "https://127.0x./a", false},
		{anywhere, "https://1.example.com/a", true},
		{anywhere, "https://0x.example/a", true},
	} {
		u, err := url.Parse(tt.url)
		if err != nil {
			continue // refused before
		}
		err = tt.policy.Check(u)
		if (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrHost) {
			t.Errorf("%s: %v, want it allowed: %v", tt.url, err, tt.ok)
		}
		if err != nil && strings.Contains(err.Error(), "password") {
			t.Errorf("%s: %v", tt.url, err)
		}
	}
}

func TestAllowsAssumesThePortOfHTTP(t *testing.T) {
	p := &Policy{Allow: []string{"a", "b:80", "c:8080"}}
	for hostport, want := range map[string]bool{"a": true, "A:1": true, "b": true, "b:80": true, "b:81": false, "c": false, "c:8080": true, "d": false, "": false} {
		if p.Allows(hostport) != want {
			t.Errorf("%q: %v", hostport, !want)
		}
	}
}

func TestOnlyPublicAddressesAreDialled(t *testing.T) {
	for _, tt := range []struct {
		ip               string
		public, internal bool // allowed; allowed in the vendor's network
	}{
		{"8.8.8.8", true, true},
		{"47.96.0.1", true, true},
		{"2606:4700::1111", true, true},
		{"::ffff:8.8.8.8", true, true},
		{"100.63.255.255", true, true},
		{"100.64.0.1", false, true},
		{"100.118.28.44", false, true},
		{"100.100.100.200", false, false},
		{"::ffff:100.100.100.200", false, false},
		{"100.128.0.1", true, true},
		{"127.0.0.1", false, false},
		{"127.255.255.254", false, false},
		{"::1", false, false},
		{"::", false, false},
		{"0.0.0.0", false, false},
		{"0.1.2.3", false, false},
		{"10.1.2.3", false, false},
		{"172.16.0.1", false, false},
		{"172.31.255.255", false, false},
		{"172.32.0.1", true, true},
		{"192.168.1.1", false, false},
		{"192.0.0.192", false, false},
		{"192.0.0.1", false, false},
		{"192.88.99.1", false, false},
		{"100.127.255.255", false, true},
		{"169.254.169.254", false, false},
		{"198.18.0.1", false, false},
		{"203.0.113.1", false, false},
		{"224.0.0.1", false, false},
		{"240.0.0.1", false, false},
		{"255.255.255.255", false, false},
		{"::ffff:127.0.0.1", false, false},
		{"::ffff:10.0.0.1", false, false},
		{"::127.0.0.1", false, false},
		{"::ffff:0:7f00:1", false, false},
		{"64:ff9b::7f00:1", false, false},
		{"64:ff9b::a00:1", false, false},
		{"64:ff9b::6464:64c8", false, false},
		{"64:ff9b::6440:1", false, true},
		{"64:ff9b::808:808", true, true}, // 8.8.8.8, of a network without IPv4
		{"64:ff9b:1::1", false, false},
		{"100::1", false, false},
		{"2001::1", false, false},
		{"2001:db8::1", false, false},
		{"2002:7f00:1::", false, false},
		{"3fff::1", false, false},
		{"fc00::1", false, false},
		{"fd00:ec2::254", false, false},
		{"fe80::1", false, false},
		{"fe80::1%eth0", false, false},
		{"fec0::1", false, false},
		{"ff02::1", false, false},
	} {
		address := netip.AddrPortFrom(netip.MustParseAddr(tt.ip), 443).String()
		for _, p := range []*Policy{{}, {Internal: true}} {
			want := tt.public || p.Internal && tt.internal
			if err := p.checkDial("tcp", address, nil); (err == nil) != want || err != nil && !errors.Is(err, ErrHost) {
				t.Errorf("%s, internal %v: %v", tt.ip, p.Internal, err)
			}
		}
	}
	if err := new(Policy).checkDial("unix", "/var/run/docker.sock", nil); !errors.Is(err, ErrHost) {
		t.Errorf("a socket: %v", err)
	}
}

func TestNamesOfPrivateAddressesAreNotAsked(t *testing.T) {
	asked := false
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer s.Close()
	p := &Policy{Domains: []string{"*"}}
	client := p.Client()
	defer client.CloseIdleConnections()
	for _, host := range []string{"localhost", "127.0.0.1"} {
		resp, err := client.Get(strings.Replace(s.URL, "127.0.0.1", host, 1))
		if err == nil {
			resp.Body.Close()
		}
		if !errors.Is(err, ErrHost) || asked {
			t.Errorf("%s: %v, asked: %v", host, err, asked)
		}
	}
}

func TestProxiesMayHavePrivateAddresses(t *testing.T) {
	for _, tt := range []struct{ proxy, want string }{
		{"http://10.0.0.1:3128", "10.0.0.1:3128"},
		{"10.0.0.1:3128", "10.0.0.1:3128"},
		{"http://proxy.internal", "proxy.internal:80"},
		{"http://proxy.internal/", "proxy.internal:80"},
		{"http://user:p@ss@proxy.internal", "proxy.internal:80"},
		{"https://user:p%2Fss@proxy.internal", "proxy.internal:443"},
		{"socks5://[::1]", "[::1]:1080"},
		{"socks5h://proxy.internal:9050", "proxy.internal:9050"},
	} {
		t.Setenv("HTTPS_PROXY", tt.proxy)
		if got, err := Proxies(); err != nil || len(got) == 0 || got[0] != tt.want {
			t.Errorf("%s: %q, %v, want %s", tt.proxy, got, err, tt.want)
		}
	}
}

// A proxy that can't be read must not be gone past, nor may a part of its password
// be taken for a host and be looked up.
func TestAProxyThatCantBeReadIsRefusedBeforeAnythingIsDialled(t *testing.T) {
	for _, proxy := range []string{
		"http://user:canary%zz@proxy.corp:80", "http://user:canary/w@proxy.corp:80", "http://user:canary?w@proxy.corp:80", "http://user:80#canary@proxy.corp",
		"http://user:80?canary@proxy.corp", "http://user:80/canary@proxy.corp", "http://user:can ary@proxy.corp:80", "http://user:canary@proxy.corp:80 80", "http://user:canary@proxy.corp:99999",
		"http://user:canary@proxy.corp:0", "http://[::1", "http://", "ftp://user:canary@proxy.corp", "socks4://proxy.corp", "user:canary/w@proxy.corp:80", "canary canary",
	} {
		for _, name := range proxyVariables {
			t.Setenv(name, proxy)
			_, err := Proxies()
			if !errors.Is(err, ErrProxy) || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "canary") {
				t.Errorf("%s=%s: %v", name, proxy, err)
			}
			n := &nameServer{turns: [][]string{{"127.0.0.1"}}}
			client := (&Policy{Domains: []string{"*"}, resolver: n.resolver()}).Client()
			if resp, err := client.Get("https://files.example.com/x"); !errors.Is(err, ErrProxy) || len(n.asked) > 0 {
				t.Errorf("%s=%s: %v, %v; %q were looked up", name, proxy, resp, err, n.asked)
			}
			t.Setenv(name, "")
		}
	}
}

// A refusal of a proxy says so, and what may pass is none.
func TestWhatAProxyAnswersIsTold(t *testing.T) {
	proxy := &url.URL{Scheme: "http", User: url.UserPassword("user", "canary"), Host: "proxy.corp:3128"}
	for status, refused := range map[int]bool{407: true, 403: true, 401: true, 404: true, 302: true, 502: false, 503: false, 504: false, 429: false, 408: false} {
		err := checkProxyAnswer(t.Context(), proxy, nil, &http.Response{StatusCode: status, Status: "any text"})
		if err == nil || errors.Is(err, ErrProxy) != refused || !strings.Contains(err.Error(), "proxy.corp:3128 answers "+strconv.Itoa(status)) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%d: %v", status, err)
		}
	}
	if err := checkProxyAnswer(t.Context(), proxy, nil, &http.Response{StatusCode: 200}); err != nil {
		t.Error(err)
	}
}
