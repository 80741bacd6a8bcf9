package obs

import (
	"net/url"
	"regexp"
	"strings"
	"sync"

	"github.com/huaweicloud/huaweicloud-sdk-go-obs/obs"

	"tallyman/fetch/internal/objstore"
	"tallyman/fetch/redact"
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
	signature obs.SignatureType
	hint      string // of the Selection
}

// buckets matches the names of buckets, if they are no longer than maxBucket. They
// become part of a host name, but for those with dots.
var buckets = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9][a-z0-9.-]+[a-z0-9]$`) })

const maxBucket = 63

// address finds out where a bucket is asked. It sends nothing.
func (s *Store) address(region, bucket string) (*bucketAddress, error) {
	if region == "" {
		region = s.Region
	}
	at := &bucketAddress{region: region, bucket: bucket}
	switch {
	case len(bucket) > maxBucket || !buckets().MatchString(bucket):
		return nil, objstore.Usagef("bucket %q: want 3 to 63 lower-case letters, digits, dashes and dots", bucket)
	case region != "" && !objstore.IsLabel(region):
		return nil, objstore.Usagef("region %q: want lower-case letters, digits and dashes", region)
	case s.Endpoint == "" && region == "":
		return nil, ErrNoRegion
	}
	var err error
	if at.endpoint, at.pathStyle, err = objstore.Endpoint(s.Endpoint, "obs."+region+".myhuaweicloud.com"); err != nil {
		return nil, err
	}
	if strings.Contains(at.endpoint.Hostname(), ":") { // the SDK cuts it at its first colon
		return nil, objstore.Usagef("endpoint %s: want a name or an IPv4 address", redact.Text(s.Endpoint))
	}
	at.pathStyle = at.pathStyle || strings.Contains(bucket, ".") // as labels of a host it fits no certificate
	at.signature, err = at.signatureType(s.Signature)
	return at, err
}

// signatureType returns how calls are signed by a version, where "" is the usual
// one for where the bucket is.
func (at *bucketAddress) signatureType(version string) (obs.SignatureType, error) {
	switch {
	case version == "v4" || version == "" && at.pathStyle:
		return obs.SignatureV4, nil
	case version == "obs" && at.pathStyle: // the SDK would sign by an older rule of OBS
		return "", objstore.Usagef("signature obs is not for a bucket in the path, as %s has it: want v4", at.endpoint)
	case version == "obs" || version == "":
		return obs.SignatureObs, nil
	}
	return "", objstore.Usagef("unknown signature version %q, want obs or v4", version)
}

// anyRegion is what V4 signs if the region is unknown: that is so only where
// something stands in for the vendor.
const anyRegion = "us-east-1"
