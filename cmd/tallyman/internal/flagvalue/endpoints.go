package flagvalue

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Endpoints has the addresses to call instead of the vendors', by the names of
// the providers. [NewEndpoints] makes one.
type Endpoints struct {
	providers []string
	urls      map[string]string
}

// NewEndpoints returns Endpoints without addresses, which takes one for each of
// the providers that are named.
func NewEndpoints(providers []string) Endpoints {
	return Endpoints{providers, map[string]string{}}
}

// URL returns the address for a provider, such as http://127.0.0.1:8080, or ""
// if it has none.
func (e *Endpoints) URL(provider string) string { return e.urls[provider] }

// Type implements pflag.Value.
func (e *Endpoints) Type() string { return "PROVIDER=URL" }

// String implements pflag.Value. It returns no text, so that help shows no
// default.
func (e *Endpoints) String() string { return "" }

// Set implements pflag.Value. Each call adds one address.
func (e *Endpoints) Set(text string) error {
	provider, address, ok := strings.Cut(text, "=")
	if !ok || !slices.Contains(e.providers, provider) {
		return fmt.Errorf("must be PROVIDER=URL, with one of %s for PROVIDER", strings.Join(e.providers, ", "))
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || strings.Trim(u.Path, "/") != "" {
		return fmt.Errorf("must be %s=URL, with an address like http://127.0.0.1:8080 for URL", provider)
	}
	e.urls[provider] = u.Scheme + "://" + u.Host
	return nil
}
