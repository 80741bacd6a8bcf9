package flagvalue

import (
	"errors"
	"regexp"
	"strings"
)

// Bucket names a bucket of OSS and, after an @, the region it is in. An empty
// Region is the region of whatever the bucket is used for.
type Bucket struct{ Name, Region string }

var (
	bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$`)
	regionName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
)

// Type implements pflag.Value.
func (b *Bucket) Type() string { return "BUCKET[@REGION]" }

// String implements pflag.Value.
func (b *Bucket) String() string {
	if b.Region == "" {
		return b.Name
	}
	return b.Name + "@" + b.Region
}

// Set implements pflag.Value.
func (b *Bucket) Set(text string) error {
	name, region, hasRegion := strings.Cut(text, "@")
	if !bucketName.MatchString(name) || hasRegion && !regionName.MatchString(region) {
		return errors.New("must be BUCKET or BUCKET@REGION, like my-backups@cn-hangzhou")
	}
	b.Name, b.Region = name, region
	return nil
}
