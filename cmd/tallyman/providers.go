package main

import (
	"net/url"

	"tallyman/fetch"
	"tallyman/fetch/sls"
	"tallyman/fetch/web"
)

// newProviders is the only list of providers. What people name by URL may be
// anywhere in public; what a vendor's API points to must be the vendor's.
func (o *options) newProviders() map[string]fetch.Provider {
	anywhere := &fetch.Hosts{Domains: []string{"*"}, Allow: o.hosts}
	alibaba := &fetch.Hosts{Domains: []string{"aliyuncs.com"}, Allow: o.hosts, Internal: o.network == "internal"}
	files := alibaba.Client()
	urls := &web.Provider{Hosts: anywhere, Client: anywhere.Client()}
	return map[string]fetch.Provider{
		"https": urls,
		"http":  urls,
		"sls": &sls.Provider{
			Client:   o.callers(alibaba, "sls").Client(),
			Endpoint: o.endpoints["sls"],
			Network:  o.network,
			Open:     func(rawURL string) (fetch.Source, error) { return web.Open(files, alibaba, rawURL) },
		},
	}
}

// callers are the hosts of a vendor's API: the vendor's, and the one that
// stands in for it.
func (o *options) callers(vendor *fetch.Hosts, name string) *fetch.Hosts {
	hosts := &fetch.Hosts{Domains: vendor.Domains, Internal: vendor.Internal}
	if u, err := url.Parse(o.endpoints[name]); err == nil && u.Host != "" {
		hosts.Allow = []string{u.Hostname()}
	}
	return hosts
}
