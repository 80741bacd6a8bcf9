// Package oss reads the objects of Alibaba Cloud's Object Storage Service:
// those under a prefix that an oss reference names, and those that jobs of
// other services leave in a bucket of their owner.
//
// The vendor's SDK forms the addresses and signs the calls, and that is all.
// It is not asked to download, since it takes 200 for 206, resumes without a
// check and mixes versions: a [fetch.Source] reads ranges with If-Match, and
// what it reads is judged elsewhere. It is not asked to list, since it decodes
// keys that a store did not encode. It never tries again, so a page of a
// listing is asked for again here, and a range by package fetch. What it makes
// of a refusal loses Retry-After, so refusals are read from the answer itself.
package oss

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"tallyman/fetch"
	"tallyman/fetch/internal/acs"
	"tallyman/fetch/internal/objstore"
)

// A Store is the Object Storage Service as one account sees it. Its methods
// may be called by many goroutines at once; it must not be copied after its first
// use.
type Store struct {
	// Client makes the calls; only its Transport is used. nil is
	// http.DefaultClient.
	Client *http.Client
	// Keys returns the keys of a call, and is asked before each. nil is Alibaba's
	// default chain.
	Keys func(context.Context) (acs.Keys, error)
	// Endpoint is where the calls go, like http://127.0.0.1:8080: with the
	// bucket in the path for an IP address or localhost, else with the bucket
	// as a further label of the host. "" is the vendor's endpoint of the
	// region.
	Endpoint string
	// Network is "internal" for the vendor's endpoints that only its own machines
	// reach, or "".
	Network string
	// Region is the region of buckets that nothing else names one of: "cn-hangzhou".
	Region string
	// Signature is the version to sign with: "v4", which needs a region, or
	// "v1". "" is v4 where the region is known.
	Signature string
	// PageSize is how many objects a call lists; 0 is as many as it can.
	PageSize int

	chain acs.Credentials
	once  sync.Once
	http  *http.Client
}

// A Provider answers for oss references, each of which is an export that is
// always ready: the objects under the prefix now.
type Provider struct {
	Store *Store
}

// Export implements fetch.Provider. It sends nothing: the objects are listed as
// they are ranged over, anew each time, until ctx ends.
func (p *Provider) Export(ctx context.Context, ref fetch.Ref) (*fetch.Export, error) {
	if ref.Scheme() != "oss" {
		return nil, fmt.Errorf("export %s: not a reference to objects of OSS", ref)
	}
	in := Selection{Region: ref.Region(), Bucket: ref.Parts()[0], Prefix: ref.Parts()[1]}
	at, err := p.Store.address(in.Region, in.Bucket)
	if err != nil {
		return nil, fmt.Errorf("export %s: %w", ref, err)
	}
	return objstore.Snapshot(p.Store.Objects(ctx, in), objstore.Location{
		Bucket: in.Bucket, Prefix: in.Prefix, Region: at.region, Endpoint: at.endpoint.String(),
	}), nil
}
