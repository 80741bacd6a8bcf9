package main

import (
	"context"
	"iter"
	"maps"
	"net/url"

	"tallyman/fetch"
	"tallyman/fetch/dbs"
	"tallyman/fetch/dis"
	"tallyman/fetch/dms"
	"tallyman/fetch/hostguard"
	"tallyman/fetch/obs"
	"tallyman/fetch/oss"
	"tallyman/fetch/sls"
	"tallyman/fetch/web"
)

// providerNames are those that can have an endpoint of their own.
var providerNames = []string{"sls", "dms", "dbs", "dis", "oss", "obs"}

// providersOf is the only list of providers. What people name by URL may be
// anywhere in public; what a vendor's API points to must be the vendor's. The
// calls of each service are paced; what its stores give is not.
func (o *options) providersOf(a account) map[string]fetch.Provider {
	anywhere := &hostguard.Policy{Domains: []string{"*"}, Allow: o.hosts}
	urls := &web.Provider{Hosts: anywhere, Client: anywhere.Client()}
	all := map[string]fetch.Provider{"https": urls, "http": urls}
	maps.Copy(all, o.alibabaOf(a))
	maps.Copy(all, o.huaweiOf(a))
	return all
}

func (o *options) alibabaOf(a account) map[string]fetch.Provider {
	keys := sls.ProfileKeys(a.profile)
	if a.sandbox {
		keys = sls.StaticKeys(demoKey, demoSecret, "")
	}
	alibaba := o.vendor("aliyuncs.com")
	files := alibaba.Client()
	open := func(rawURL string) (fetch.Source, error) { return web.Open(files, alibaba, rawURL) }
	store := &oss.Store{Client: o.callers(alibaba, "oss").Client(), Keys: keys, Endpoint: o.endpoints.URL("oss"), Network: o.network.String()}
	return map[string]fetch.Provider{
		"oss": &oss.Provider{Store: store},
		"sls": &sls.Provider{Client: o.callers(alibaba, "sls").Client(), Keys: paced(o, keys), Endpoint: o.endpoints.URL("sls"), Network: o.network.String(), Open: open, Store: store},
		"dms": &dms.Provider{Client: o.callers(alibaba, "dms").Client(), Keys: paced(o, keys), Endpoint: o.endpoints.URL("dms"), Network: o.network.String(), Open: open},
		"dbs": &dbs.Provider{Client: o.callers(alibaba, "dbs").Client(), Keys: paced(o, keys), Endpoint: o.endpoints.URL("dbs"), Network: o.network.String(),
			Open: open, AllowHTTP: alibaba.Allows, Store: store, Bucket: o.bucket.Name, Region: o.bucket.Region},
	}
}

func (o *options) huaweiOf(a account) map[string]fetch.Provider {
	disKeys, obsKeys := dis.ProfileKeys(a.profile), obs.ProfileKeys(a.profile)
	if a.sandbox {
		disKeys = dis.StaticKeys(dis.Keys{AccessKey: demoKey, SecretKey: demoSecret})
		obsKeys = obs.StaticKeys(obs.Keys{AK: demoKey, SK: demoSecret})
	}
	huawei := o.vendor("myhuaweicloud.com")
	store := &obs.Store{Client: o.callers(huawei, "obs").Client(), Keys: obsKeys, Endpoint: o.endpoints.URL("obs")}
	objects := func(ctx context.Context, region, bucket, prefix string) iter.Seq2[fetch.Object, error] {
		in := obs.Selection{Region: region, Bucket: bucket, Prefix: prefix}
		in.Hint = "fetch " + in.String() + "?region=REGION, all of it"
		return store.Objects(ctx, in)
	}
	return map[string]fetch.Provider{
		"obs": &obs.Provider{Store: store},
		"dis": &dis.Provider{Client: o.callers(huawei, "dis").Client(), Keys: paced(o, disKeys), Endpoint: o.endpoints.URL("dis"), Signature: o.disSignature.String(), Objects: objects},
	}
}

// vendor is where the files of a vendor are.
func (o *options) vendor(domain string) *hostguard.Policy {
	return &hostguard.Policy{Domains: []string{domain}, Allow: o.hosts, Internal: o.network.String() == "internal"}
}

// callers are the hosts of a vendor's API: the vendor's, and the one that
// stands in for it.
func (o *options) callers(vendor *hostguard.Policy, name string) *hostguard.Policy {
	hosts := &hostguard.Policy{Domains: vendor.Domains, Internal: vendor.Internal}
	if u, err := url.Parse(o.endpoints.URL(name)); err == nil && u.Host != "" {
		hosts.Allow = []string{u.Hostname()}
	}
	return hosts
}
