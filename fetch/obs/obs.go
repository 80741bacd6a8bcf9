// Package obs reads the objects of Huawei Cloud's Object Storage Service:
// those under a prefix that an obs reference names, and those that jobs of
// other services leave in a bucket of their owner.
//
// The vendor's SDK forms the addresses and signs the calls, and that is all:
// it is handed a transport that sends nothing, and what it wanted sent is sent
// from here. So what it does with answers does not matter, of which it tries
// some again by itself, with waits that no context ends and with the date of
// the first time; reads refusals to their end, whatever their length; follows
// redirects with the keys; swallows panics; takes 200 for 206 and leaves out
// ranges of one byte. A [fetch.Source] reads ranges with If-Match, and what it
// reads is judged elsewhere. A page of a listing is asked for again here, and
// a range by package fetch.
package obs

import (
	"context"
	"fmt"
	"net/http"

	"tallyman/fetch"
	"tallyman/fetch/internal/objstore"
)

// A Store is the Object Storage Service as one account sees it. Its methods
// may be called by many goroutines at once.
type Store struct {
	// Client makes the calls; only its Transport is used. nil is
	// http.DefaultClient.
	Client *http.Client
	// Keys returns the keys of a call, and is asked before each. nil is
	// EnvironmentKeys.
	Keys func(context.Context) (Keys, error)
	// Endpoint is where the calls go, like http://127.0.0.1:8080: with the
	// bucket in the path for an IPv4 address or localhost, else with the bucket
	// as a further label of the host. "" is the vendor's endpoint of the
	// region.
	Endpoint string
	// Region is the region of buckets that nothing else names one of: "cn-north-4".
	Region string
	// Signature is the version to sign with: "obs", or "v4" as S3 has it. "" is
	// obs, but v4 where the bucket is in the path.
	Signature string
	// PageSize is how many objects a call lists; 0 is as many as it can.
	PageSize int
}

// A Provider answers for obs references, each of which is an export that is
// always ready: the objects under the prefix now.
type Provider struct {
	Store *Store
}

// Export implements fetch.Provider. It sends nothing: the objects are listed as
// they are ranged over, anew each time, until ctx ends.
func (p *Provider) Export(ctx context.Context, ref fetch.Ref) (*fetch.Export, error) {
	if ref.Scheme() != "obs" {
		return nil, fmt.Errorf("export %s: not a reference to objects of OBS", ref)
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
