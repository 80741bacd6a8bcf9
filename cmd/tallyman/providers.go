package main

import (
	"net/url"

	"tallyman/fetch"
	"tallyman/fetch/dms"
	"tallyman/fetch/oss"
	"tallyman/fetch/sls"
	"tallyman/fetch/web"
)

// providersOf is the only list of providers. What people name by URL may be
// anywhere in public; what a vendor's API points to must be the vendor's.
func (o *options) providersOf(a account) map[string]fetch.Provider {
	keys := sls.ProfileKeys(a.profile)
	if a.sandbox {
		keys = sls.StaticKeys(demoKey, demoSecret, "")
	}
	anywhere := &fetch.Hosts{Domains: []string{"*"}, Allow: o.hosts}
	alibaba := &fetch.Hosts{Domains: []string{"aliyuncs.com"}, Allow: o.hosts, Internal: o.network == "internal"}
	files := alibaba.Client()
	open := func(rawURL string) (fetch.Source, error) { return web.Open(files, alibaba, rawURL) }
	urls := &web.Provider{Hosts: anywhere, Client: anywhere.Client()}
	bucket := &oss.Store{Client: o.callers(alibaba, "oss").Client(), Keys: keys, Endpoint: o.endpoints["oss"], Network: o.network}
	return map[string]fetch.Provider{
		"https": urls,
		"http":  urls,
		"oss":   &oss.Provider{Store: bucket},
		"dms":   &dms.Provider{Client: o.callers(alibaba, "dms").Client(), Keys: keys, Endpoint: o.endpoints["dms"], Network: o.network, Open: open},
		"sls":   &sls.Provider{Client: o.callers(alibaba, "sls").Client(), Keys: keys, Endpoint: o.endpoints["sls"], Network: o.network, Open: open, Store: bucket},
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
