package main

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"tallyman/cmd/tallyman/internal/config"
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

// providerNames are the providers that can have an endpoint and profiles.
var providerNames = []string{"sls", "dms", "dbs", "dis", "oss", "obs"}

// account says with whose credentials the services are called.
type account struct {
	profile string // of each vendor's own credentials file; "" is the vendor's default
	sandbox bool   // the account of the sandbox instead
}

// providerSets is the only list of the vendors' providers: a function for each
// vendor. A new provider of a known vendor is a directory in fetch and an entry of
// the vendor's function; one of a new vendor brings a function of its own. If it
// takes --endpoint and profiles, providerNames has its name too.
var providerSets = []func(*app, account) map[string]fetch.Provider{
	(*app).alibabaProviders,
	(*app).huaweiProviders,
}

// providersFor returns all providers by scheme: that of URLs, and those of the
// vendors. A URL that a person names may be at any public host; what the API of a
// vendor points to must be at the vendor's. Calls of the services are rate
// limited, transfers from their stores are not.
func (a *app) providersFor(account account) map[string]fetch.Provider {
	anywhere := &hostguard.Policy{Domains: []string{"*"}, Allow: a.AllowHosts}
	urls := &web.Provider{Hosts: anywhere, Client: anywhere.Client()}
	all := map[string]fetch.Provider{"https": urls, "http": urls}
	for _, providers := range providerSets {
		maps.Copy(all, providers(a, account))
	}
	return all
}

func (a *app) alibabaProviders(account account) map[string]fetch.Provider {
	keys := sls.ProfileKeys(account.profile)
	if account.sandbox {
		keys = sls.StaticKeys(demoKey, demoSecret, "")
	}
	var network hostguard.Network
	switch a.Network.Value {
	case "internal":
		network = hostguard.InternalNetwork
	case "auto":
		network = a.auto()
	}
	hosts := a.alibabaHosts()
	files := hosts.Client()
	open := func(rawURL string) (fetch.Source, error) { return web.Open(files, hosts, rawURL) }
	store := &oss.Store{Client: a.apiClient(hosts, "oss"), Keys: keys, Endpoint: a.Endpoints.Value["oss"], Network: network}
	return map[string]fetch.Provider{
		"oss": &oss.Provider{Store: store},
		"sls": &sls.Provider{Client: a.apiClient(hosts, "sls"), Keys: rateLimited(a.APIRate, keys), Endpoint: a.Endpoints.Value["sls"], Network: network, Open: open, Store: store,
			CountLimit: rate.NewLimiter(rate.Limit(cmp.Or(a.WitnessRate, config.DefaultWitnessRate)), 1)},
		"dms": &dms.Provider{Client: a.apiClient(hosts, "dms"), Keys: rateLimited(a.APIRate, keys), Endpoint: a.Endpoints.Value["dms"], Network: network, Open: open},
		"dbs": &dbs.Provider{Client: a.apiClient(hosts, "dbs"), Keys: rateLimited(a.APIRate, keys), Endpoint: a.Endpoints.Value["dbs"], Network: network,
			Open: open, AllowHTTP: hosts.Allows, Store: store, Bucket: a.DBSBucket.Value.Name, Region: a.DBSBucket.Value.Region},
	}
}

func (a *app) huaweiProviders(account account) map[string]fetch.Provider {
	disKeys, obsKeys := dis.ProfileKeys(account.profile), obs.ProfileKeys(account.profile)
	if account.sandbox {
		disKeys = dis.StaticKeys(dis.Keys{AccessKey: demoKey, SecretKey: demoSecret})
		obsKeys = obs.StaticKeys(obs.Keys{AccessKey: demoKey, SecretKey: demoSecret})
	}
	hosts := &hostguard.Policy{Domains: []string{"myhuaweicloud.com"}, Allow: a.AllowHosts, Internal: a.Network.Value != "public"}
	store := &obs.Store{Client: a.apiClient(hosts, "obs"), Keys: obsKeys, Endpoint: a.Endpoints.Value["obs"]}
	objects := func(ctx context.Context, region, bucket, prefix string) iter.Seq2[fetch.Object, error] {
		selection := obs.Selection{Region: region, Bucket: bucket, Prefix: prefix}
		selection.Hint = "fetch " + selection.String() + "?region=REGION, all of it"
		return store.Objects(ctx, selection)
	}
	return map[string]fetch.Provider{
		"obs": &obs.Provider{Store: store},
		"dis": &dis.Provider{Client: a.apiClient(hosts, "dis"), Keys: rateLimited(a.APIRate, disKeys), Endpoint: a.Endpoints.Value["dis"], Signature: a.DISSignature.Value, Objects: objects},
	}
}

// alibabaHosts are the hosts of that vendor.
func (a *app) alibabaHosts() *hostguard.Policy {
	return &hostguard.Policy{Domains: []string{"aliyuncs.com"}, Allow: a.AllowHosts, Internal: a.Network.Value != "public"}
}

// autoNetwork finds out which endpoints of that vendor answer, and tells that.
func (a *app) autoNetwork() hostguard.Network {
	return hostguard.NewAutoNetwork(a.alibabaHosts().Client(), func(endpoint string, failure error) {
		if failure == nil {
			a.notice("calling the internal endpoint " + endpoint + ", which answers")
		} else {
			a.notice(fmt.Sprintf("calling the public endpoint, since %s does not answer: %v", endpoint, failure))
		}
	})
}

// apiClient returns the client for the calls of a provider. They reach the hosts
// of its vendor, and the one of --endpoint.
func (a *app) apiClient(vendor *hostguard.Policy, provider string) *http.Client {
	hosts := &hostguard.Policy{Domains: vendor.Domains, Internal: vendor.Internal}
	if u, err := url.Parse(a.Endpoints.Value[provider]); err == nil && u.Host != "" {
		hosts.Allow = []string{u.Hostname()}
	}
	client := hosts.Client()
	if a.watch != nil {
		client.Transport = a.watch(client.Transport)
	}
	return client
}

// vendors are what a look at the accounts needs of each.
var vendors = []vendor{
	{"alibaba", "aliyuncs.com", []string{"sls", "dms", "dbs", "oss"}, "https://cn-hangzhou.log.aliyuncs.com/",
		func(ctx context.Context, profile string) (string, string, error) {
			keys, err := sls.ProfileKeys(profile)(ctx)
			return keys.String(), keys.Source, err
		}},
	{"huawei", "myhuaweicloud.com", []string{"dis", "obs"}, "https://obs.cn-north-4.myhuaweicloud.com/",
		func(ctx context.Context, profile string) (string, string, error) {
			keys, err := dis.ProfileKeys(profile)(ctx)
			return keys.String(), keys.Source, err
		}},
}

// A vendor has accounts, and services that they are of.
type vendor struct {
	name, domain string
	schemes      []string
	probe        string // the URL of some service, which answers whoever asks
	find         func(ctx context.Context, profile string) (id, source string, err error)
}

// rateLimited wraps a source of keys so that callsPerSecond keys are given out
// each second; 0 is no limit. A provider asks for its keys once for each call,
// before the time for the answer begins. So the limit is for the calls of one
// service as one account. If ctx ends while a call waits, its cause is the
// error.
func rateLimited[K any](callsPerSecond float64, keys func(context.Context) (K, error)) func(context.Context) (K, error) {
	if callsPerSecond == 0 {
		return keys
	}
	limiter := rate.NewLimiter(rate.Limit(callsPerSecond), max(1, int(callsPerSecond)))
	return func(ctx context.Context) (none K, err error) {
		if err := limiter.Wait(ctx); err != nil {
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return none, err
		}
		return keys(ctx)
	}
}

// newProviders returns the providers by scheme. Each calls its service with the
// credentials of the place that a reference is in.
func (a *app) newProviders() map[string]fetch.Provider {
	providers := a.providersFor(account{})
	if len(a.Places) == 0 {
		return providers
	}
	accounts := &accounts{app: a, providers: map[string]map[string]fetch.Provider{}}
	byPlace := map[string]fetch.Provider{}
	for scheme, provider := range providers {
		byPlace[scheme] = accountProvider{accounts, scheme}
		if _, ok := provider.(fetch.Lister); ok {
			byPlace[scheme] = accountLister{accountProvider{accounts, scheme}}
		}
	}
	return byPlace
}

// accounts has the providers for the places that differ in their settings, which are
// made when they are first needed.
type accounts struct {
	app       *app
	mu        sync.Mutex
	providers map[string]map[string]fetch.Provider // by what is special about the place, then by scheme
}

// provider returns the provider of a scheme with the credentials and the endpoints for
// ref.
func (a *accounts) provider(ref fetch.Ref, scheme string) fetch.Provider {
	place, key := a.app.Place(ref), a.app.Account(ref)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.providers[key] == nil {
		options := *a.app.Options
		options.Endpoints.Value = map[string]string{}
		maps.Copy(options.Endpoints.Value, a.app.Endpoints.Value)
		maps.Copy(options.Endpoints.Value, place.Endpoints)
		options.DBSBucket.Value = cmp.Or(place.DBSBucket, options.DBSBucket.Value)
		there := *a.app
		there.Options = &options
		a.providers[key] = there.providersFor(account{profile: place.Profile})
	}
	return a.providers[key][scheme]
}

// accountProvider is the provider of one scheme for all accounts.
type accountProvider struct {
	*accounts
	scheme string
}

func (p accountProvider) Export(ctx context.Context, ref fetch.Ref) (*fetch.Export, error) {
	return p.provider(ref, p.scheme).Export(ctx, ref)
}

// accountLister is an accountProvider whose service can list places.
type accountLister struct{ accountProvider }

func (l accountLister) List(ctx context.Context, place fetch.Ref, since time.Time) iter.Seq2[fetch.Listed, error] {
	return l.provider(place, l.scheme).(fetch.Lister).List(ctx, place, since)
}

// windowGroup names the windows that can be compared, those of one log store and query, and
// splitWindowGroup tells the two of a name.
var windowGroup, splitWindowGroup = sls.WindowGroup, sls.SplitGroup
