// Package obs reads the objects of Huawei Cloud's Object Storage Service (OBS):
// those under a prefix that an obs reference names, and those that jobs of other
// services write to a bucket of their owner. Such an export is always ready.
//
// Two calls are made, both signed GETs: ListObjects, which lists the objects page by
// page, and GetObject with a Range and If-Match, which reads a range of the version
// that was listed. An object is proven by Content-MD5 or a CRC64, where OBS gives
// one, or by its ETag if the answer's headers show that it is the MD5 of the bytes:
// the object is not encrypted and was not appended to.
//
// The vendor's SDK forms the addresses and signs the calls, and does nothing else:
// its transport keeps each request and sends nothing, and the request is sent from
// here. The SDK itself would retry with waits that no context ends and with the
// first try's date, read refusals to their end, follow redirects with the keys,
// swallow panics, take a 200 for a 206, and leave out ranges of one byte. The pages
// of a listing are retried here, and ranges by package fetch.
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
	// ProfileKeys("").
	Keys func(context.Context) (Keys, error)
	// Endpoint is where the calls go, like http://127.0.0.1:8080. The bucket is in
	// the path if the host is an IPv4 address or localhost, and otherwise the first
	// label of the host. "" is the vendor's endpoint of the region.
	Endpoint string
	// Region is the region of a bucket if nothing else names it: "cn-north-4".
	Region string
	// Signature is the version to sign with: "obs", or "v4" as in S3. "" is obs, or
	// v4 if the bucket is in the path.
	Signature string
	// PageSize is how many objects a call lists. 0 is 1000, the most that it can.
	PageSize int
}

// The scheme of the references: obs://BUCKET/PREFIX[?region=REGION].
var scheme = fetch.RegisterScheme(fetch.Scheme{
	Name:     "obs",
	Segments: []fetch.Segment{{Name: "BUCKET", Kind: fetch.Label}, {Name: "PREFIX", Kind: fetch.Rest}},
	Options:  []fetch.Option{{Name: "region", Kind: fetch.Label}},
	Prefix:   true,
	NoPlaces: "an obs prefix is an export itself: fetch it",
})

// A Provider answers for obs references. The export of one is always ready: it is
// the objects that are under the prefix now.
type Provider struct {
	Store *Store
}

// Export implements fetch.Provider. It sends nothing: the objects are listed as
// they are ranged over, anew each time, until ctx ends.
func (p *Provider) Export(ctx context.Context, ref fetch.Ref) (*fetch.Export, error) {
	if ref.Scheme() != scheme {
		return nil, fmt.Errorf("export %s: not a reference to objects of OBS", ref)
	}
	in := Selection{Region: ref.Option("region"), Bucket: ref.Parts()[0], Prefix: ref.Parts()[1]}
	at, err := p.Store.address(in.Region, in.Bucket)
	if err != nil {
		return nil, fmt.Errorf("export %s: %w", ref, err)
	}
	return objstore.Snapshot(p.Store.Objects(ctx, in), objstore.Location{
		Bucket: in.Bucket, Prefix: in.Prefix, Region: at.region, Endpoint: at.endpoint.String(),
	}), nil
}
