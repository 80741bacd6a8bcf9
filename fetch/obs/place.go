package obs

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"
	"tallyman/fetch/redact"

	"github.com/huaweicloud/huaweicloud-sdk-go-obs/obs"
)

// ErrNoRegion says that nothing tells which region a bucket is in. It is an
// error of usage.
var ErrNoRegion error = usageError("the bucket's region is not known: add ?region=REGION to the reference, or set --endpoint obs=URL")

// A usageError is what a person has to say otherwise. It is an
// errors.ErrUnsupported.
type usageError string

func (e usageError) Error() string { return string(e) }
func (e usageError) Unwrap() error { return errors.ErrUnsupported }

func usagef(format string, args ...any) error { return usageError(fmt.Sprintf(format, args...)) }

// A place is where a bucket is asked.
type place struct {
	region    string // "" if it is not known and need not be
	bucket    string
	endpoint  string // its scheme and host
	pathStyle bool
	signature obs.SignatureType
	hint      string // of the Selection
}

// What a region and a bucket may be: both become part of a host name, but for
// buckets that have dots.
var (
	regions = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	buckets = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
)

// where finds out where a bucket is asked. It sends nothing.
func (s *Store) where(region, bucket string) (*place, error) {
	if region == "" {
		region = s.Region
	}
	w := &place{region: region, bucket: bucket}
	switch {
	case !buckets.MatchString(bucket):
		return nil, usagef("bucket %q: want 3 to 63 lower-case letters, digits, dashes and dots", bucket)
	case region != "" && !regions.MatchString(region):
		return nil, usagef("region %q: want lower-case letters, digits and dashes", region)
	}
	w.pathStyle = strings.Contains(bucket, ".") // as labels of a host it fits no certificate
	if err := w.at(s.Endpoint); err != nil {
		return nil, err
	}
	var err error
	w.signature, err = w.signed(s.Signature)
	return w, err
}

// at is the endpoint that is set, or the vendor's.
func (w *place) at(endpoint string) error {
	if endpoint == "" {
		if w.region == "" {
			return ErrNoRegion
		}
		w.endpoint = "https://obs." + w.region + ".myhuaweicloud.com"
		return nil
	}
	u, err := url.Parse(endpoint)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" {
		return usagef("endpoint %s: want http://HOST:PORT or https://HOST:PORT", redact.Text(endpoint))
	}
	if strings.Contains(u.Hostname(), ":") { // the SDK cuts it at its first colon
		return usagef("endpoint %s: want a name or an IPv4 address", redact.Text(endpoint))
	}
	w.endpoint = u.Scheme + "://" + u.Host
	w.pathStyle = w.pathStyle || u.Hostname() == "localhost" || net.ParseIP(u.Hostname()) != nil
	return nil
}

// signed is how calls are signed, told so or not. The SDK signs by OBS's rule
// only with the bucket in the host, and otherwise by an older one, unasked.
func (w *place) signed(told string) (obs.SignatureType, error) {
	switch {
	case told == "v4" || told == "" && w.pathStyle:
		return obs.SignatureV4, nil
	case told == "obs" && w.pathStyle:
		return "", usagef("signature obs is not for a bucket in the path, as %s has it: want v4", w.endpoint)
	case told == "obs" || told == "":
		return obs.SignatureObs, nil
	}
	return "", usagef("unknown signature version %q, want obs or v4", told)
}

// anyRegion is what V4 signs where the region is not known, which is where
// something stands in for the vendor.
const anyRegion = "us-east-1"
