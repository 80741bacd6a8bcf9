package hostguard

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
)

// proxyVariables are those that net/http reads, in its order.
var proxyVariables = []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"}

// Proxies returns HOST:PORT of the proxies in the environment. The operator chose
// them, so they may have private addresses. It fails with an ErrProxy if one can't be
// read. The error names the variable, and quotes nothing of its value, any part of
// which may be a password.
func Proxies() ([]string, error) {
	var addrs []string
	for _, name := range proxyVariables {
		proxy := os.Getenv(name)
		if proxy == "" {
			continue
		}
		if !strings.Contains(proxy, "://") {
			proxy = "http://" + proxy
		}
		u, err := url.Parse(proxy)
		if err != nil || !isProxy(u) {
			return nil, fmt.Errorf("%w: %s is not the URL of a proxy: want a scheme (http, https or socks5), a host and a port, and in a password %%XX for each character that is not a letter or a digit", ErrProxy, name)
		}
		addrs = append(addrs, net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), defaultPorts[u.Scheme])))
	}
	return addrs, nil
}

// isProxy reports whether a URL is that of a proxy and nothing else. What would be a
// path or a query is the rest of a password with a slash or a question mark in it,
// and the host then is the beginning.
func isProxy(u *url.URL) bool {
	port, err := strconv.ParseUint(cmp.Or(u.Port(), defaultPorts[u.Scheme]), 10, 16)
	return err == nil && port > 0 && slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme) &&
		u.Hostname() != "" && strings.Trim(u.Path, "/") == "" && u.RawQuery == "" && !u.ForceQuery && u.Fragment == ""
}

// checkProxyAnswer returns the error of a proxy that does not connect to a host. It
// wraps ErrProxy unless it may pass.
func checkProxyAnswer(_ context.Context, proxy *url.URL, _ *http.Request, answer *http.Response) error {
	status := strings.TrimSpace(strconv.Itoa(answer.StatusCode) + " " + http.StatusText(answer.StatusCode))
	switch code := answer.StatusCode; {
	case code == http.StatusOK:
		return nil
	case code >= 500 || code == http.StatusRequestTimeout || code == http.StatusTooManyRequests:
		return fmt.Errorf("the proxy %s answers %s", proxy.Host, status)
	}
	return fmt.Errorf("%w: %s answers %s", ErrProxy, proxy.Host, status)
}
