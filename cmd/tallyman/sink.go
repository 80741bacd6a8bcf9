package main

import (
	"errors"
	"regexp"
	"strings"
)

// A sink is the bucket that DBS tasks wrote to, of which the service does not
// tell the name.
type sink struct {
	bucket string
	region string // "" is that of the task
}

var (
	bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$`)
	regionName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
)

func (s *sink) Type() string { return "BUCKET[@REGION]" }

func (s *sink) String() string {
	if s.region == "" {
		return s.bucket
	}
	return s.bucket + "@" + s.region
}

// Set implements pflag.Value.
func (s *sink) Set(text string) error {
	bucket, region, placed := strings.Cut(text, "@")
	if !bucketName.MatchString(bucket) || placed && !regionName.MatchString(region) {
		return errors.New("want BUCKET or BUCKET@REGION, like my-backups@cn-hangzhou")
	}
	s.bucket, s.region = bucket, region
	return nil
}
