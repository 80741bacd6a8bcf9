// Package oss reads the objects of Alibaba Cloud's Object Storage Service (OSS):
// those under a prefix that an oss reference names, and those that jobs of other
// services write to a bucket of their owner. Such an export is always ready.
//
// Two calls are made, both signed GETs: ListObjectsV2, which lists the objects page
// by page, and GetObject with a Range and If-Match, which reads a range of the
// version that was listed. An object is proven by the CRC64 that OSS gives with
// each answer (x-oss-hash-crc64ecma), by Content-MD5, or by its ETag where that is
// the MD5 of the bytes.
//
// The vendor's SDK forms the addresses and signs the calls, and does nothing else:
//
//   - It does not download: it takes a 200 for a 206, resumes without a check, and
//     mixes versions.
//   - It does not list: it decodes keys that a store did not encode.
//   - It does not retry, so the pages of a listing are retried here, and ranges by
//     package fetch.
//   - Its errors lose Retry-After, so refusals are read from the answer itself.
package oss

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"tallyman/fetch"
	"tallyman/fetch/hostguard"
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
	// Endpoint is where the calls go, like http://127.0.0.1:8080. The bucket is in
	// the path if the host is an IP address or localhost, and otherwise the first
	// label of the host. "" is the vendor's endpoint of the region.
	Endpoint string
	// Network chooses between the vendor's public endpoints and those that only its own
	// machines reach; nil is the public ones.
	Network hostguard.Network
	// Region is the region of a bucket if nothing else names it: "cn-hangzhou".
	Region string
	// Signature is the version to sign with: "v4", which needs a region, or "v1".
	// "" is v4 if the region is known.
	Signature string
	// PageSize is how many objects a call lists. 0 is 1000, the most that it can.
	PageSize int

	chain acs.Credentials
	once  sync.Once
	http  *http.Client
}

// The scheme of the references: oss://BUCKET/PREFIX[?region=REGION].
var scheme = fetch.RegisterScheme(fetch.Scheme{
	Name:     "oss",
	Segments: []fetch.Segment{{Name: "BUCKET", Kind: fetch.Label}, {Name: "PREFIX", Kind: fetch.Rest}},
	Options:  []fetch.Option{{Name: "region", Kind: fetch.Label}},
	Prefix:   true,
	NoPlaces: "an oss prefix is an export itself: fetch it",
})

// A Provider answers for oss references. The export of one is always ready: it is
// the objects that are under the prefix now.
type Provider struct {
	Store *Store
}

// Export implements fetch.Provider. It sends nothing: the objects are listed as
// they are ranged over, anew each time, until ctx ends.
func (p *Provider) Export(ctx context.Context, ref fetch.Ref) (*fetch.Export, error) {
	if ref.Scheme() != scheme {
		return nil, fmt.Errorf("export %s: not a reference to objects of OSS", ref)
	}
	in := Selection{Region: ref.Option("region"), Bucket: ref.Parts()[0], Prefix: ref.Parts()[1]}
	at, err := p.Store.address(ctx, in.Region, in.Bucket)
	if err != nil {
		return nil, fmt.Errorf("export %s: %w", ref, err)
	}
	return objstore.Snapshot(p.Store.Objects(ctx, in), objstore.Location{
		Bucket: in.Bucket, Prefix: in.Prefix, Region: at.region, Endpoint: at.endpoint.String(),
	}), nil
}
