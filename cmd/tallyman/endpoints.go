package main

import (
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
)

// providerNames are those that --endpoint knows.
var providerNames = []string{"sls", "dms", "dbs", "dis", "oss", "obs"}

// endpoints are the providers that are called elsewhere than at the vendor.
type endpoints map[string]string

func (e endpoints) Type() string   { return "PROVIDER=URL" }
func (e endpoints) String() string { return "" }

func (e endpoints) Set(s string) error {
	name, address, ok := strings.Cut(s, "=")
	if !ok || !slices.Contains(providerNames, name) {
		return fmt.Errorf("want PROVIDER=URL, with one of %s for PROVIDER", strings.Join(providerNames, ", "))
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || strings.Trim(u.Path, "/") != "" {
		return fmt.Errorf("want %s=URL, with an address like http://127.0.0.1:8080 for URL", name)
	}
	e[name] = u.Scheme + "://" + u.Host
	return nil
}

func (e endpoints) fromEnvironment() error {
	for _, name := range providerNames {
		variable := "TALLYMAN_ENDPOINT_" + strings.ToUpper(name)
		value := os.Getenv(variable)
		if _, given := e[name]; value != "" && !given {
			if err := e.Set(name + "=" + value); err != nil {
				return usagef("%s: %w", variable, err)
			}
		}
	}
	return nil
}
