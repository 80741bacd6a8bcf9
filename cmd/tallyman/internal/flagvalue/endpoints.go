package flagvalue

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// NewEndpoints returns a Value for the addresses to call instead of the vendors',
// such as http://127.0.0.1:8080, by the names of the providers. Each Set adds one,
// of one of the providers that are named.
func NewEndpoints(providers []string) Value[map[string]string] {
	urls := map[string]string{}
	return New("PROVIDER=URL", "", func(text string) (map[string]string, error) {
		provider, address, ok := strings.Cut(text, "=")
		if !ok || !slices.Contains(providers, provider) {
			return nil, fmt.Errorf("must be PROVIDER=URL, with one of %s for PROVIDER", strings.Join(providers, ", "))
		}
		u, err := url.Parse(address)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || strings.Trim(u.Path, "/") != "" {
			return nil, fmt.Errorf("must be %s=URL, with an address like http://127.0.0.1:8080 for URL", provider)
		}
		urls[provider] = u.Scheme + "://" + u.Host
		return urls, nil
	})
}
