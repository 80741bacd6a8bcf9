package oss

import (
	"context"
	"net/url"
	"strings"

	"github.com/aliyun/aliyun-oss-go-sdk/oss"

	"tallyman/fetch/internal/api"
	"tallyman/fetch/internal/objstore"
)

// ErrNoRegion says that nothing names the region of a bucket. It wraps
// errors.ErrUnsupported.
var ErrNoRegion error = objstore.ErrNoRegion

// A bucketAddress is where a bucket is asked, and how.
type bucketAddress struct {
	bucket    string
	region    string   // "" if it is unknown and not needed
	endpoint  *url.URL // scheme and host, without the bucket
	pathStyle bool     // the bucket is in the path
	version   oss.AuthVersionType
	hint      string // of the Selection
}

// address finds out where a bucket is asked. It sends nothing, but for what Network asks.
func (s *Store) address(ctx context.Context, region, bucket string) (*bucketAddress, error) {
	if region == "" {
		region = s.Region
	}
	at := &bucketAddress{region: strings.TrimPrefix(region, "oss-"), bucket: bucket}
	switch {
	case len(bucket) < 3 || !objstore.IsLabel(bucket):
		return nil, objstore.Usagef("bucket %q: want 3 to 63 lower-case letters, digits and dashes", bucket)
	case at.region != "" && !objstore.IsLabel(at.region):
		return nil, objstore.Usagef("region %q: want lower-case letters, digits and dashes", region)
	case s.Signature == "v4" && at.region == "":
		return nil, ErrNoRegion
	case s.Signature == "v4" || s.Signature == "" && at.region != "":
		at.version = oss.AuthV4
	case s.Signature == "v1" || s.Signature == "":
		at.version = oss.AuthV1
	default:
		return nil, objstore.Usagef("unknown signature version %q, want v4 or v1", s.Signature)
	}
	if s.Endpoint == "" && at.region == "" {
		return nil, ErrNoRegion
	}
	var err error
	host := api.VendorHost(ctx, s.Network, s.Endpoint, "oss-"+at.region+"-internal.aliyuncs.com", "oss-"+at.region+".aliyuncs.com")
	at.endpoint, at.pathStyle, err = objstore.Endpoint(s.Endpoint, host)
	return at, err
}
