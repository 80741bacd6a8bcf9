package flagvalue

import (
	"cmp"
	"errors"
	"math"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"tallyman/fetch"
	"tallyman/verify/archive"
	"tallyman/verify/archive/catalog"
)

// ParseShard parses K/N, the Kth of N shards. The empty text is the zero Shard.
func ParseShard(text string) (archive.Shard, error) {
	if text == "" {
		return archive.Shard{}, nil
	}
	before, after, _ := strings.Cut(text, "/")
	k, errK := strconv.ParseUint(before, 10, 32)
	n, errN := strconv.ParseUint(after, 10, 32)
	if errK != nil || errN != nil || k < 1 || k > n {
		return archive.Shard{}, errors.New("must be K/N, like 1/7, with K from 1 to N")
	}
	return archive.Shard{K: k, N: n}, nil
}

// states are the states of jobs by the words that a person has for them.
var states = map[string]fetch.State{
	"ready": fetch.Ready, "running": fetch.Running, "pending": fetch.Pending, "failed": fetch.Failed, "expired": fetch.Expired, "unknown": "",
}

// ParseStates parses the states of jobs, with commas between them. The state of a job
// whose status nobody knows is unknown.
func ParseStates(text string) (parsed []fetch.State, err error) {
	for word := range strings.SplitSeq(text, ",") {
		state, ok := states[strings.TrimSpace(word)]
		if !ok {
			return nil, errors.New("must be ready, running, pending, failed, expired or unknown, or some of them with commas")
		}
		parsed = append(parsed, state)
	}
	return parsed, nil
}

// phases are the phases of exports by the words that a person has for them.
var phases = map[string]catalog.Phase{
	"landed": catalog.Landed, "waiting": catalog.Asked, "failed": catalog.Failed, "cancelled": catalog.Cancelled,
	"damaged": catalog.Damaged, "absent": catalog.Absent, "removed": catalog.Removed,
}

// ParsePhases parses the phases of exports, with commas between them, or all.
func ParsePhases(text string) (parsed []catalog.Phase, err error) {
	for word := range strings.SplitSeq(text, ",") {
		phase, ok := phases[strings.TrimSpace(word)]
		switch {
		case text == "all":
			return catalog.Phases, nil
		case !ok:
			return nil, errors.New("must be landed, waiting, failed, cancelled, damaged, absent or removed, some of them with commas, or all")
		}
		parsed = append(parsed, phase)
	}
	return parsed, nil
}

// FormatPhase returns the word that a person has for a phase.
func FormatPhase(phase catalog.Phase) string {
	if phase == catalog.Asked {
		return "waiting"
	}
	return string(phase)
}

// A Range is a range of numbers. It has all if Given is not set.
type Range struct {
	Given    bool
	Min, Max int64
}

// ParseRange parses N, or N..M with either of them, or none. The empty text is the zero
// Range.
func ParseRange(text string) (r Range, err error) {
	if text == "" {
		return r, nil
	}
	from, to, isRange := strings.Cut(text, "..")
	r = Range{true, 0, math.MaxInt64}
	parse := func(text string, n *int64) {
		if text != "" || !isRange {
			var failed error
			*n, failed = strconv.ParseInt(text, 10, 64)
			err = cmp.Or(err, failed)
		}
	}
	parse(from, &r.Min)
	if !isRange {
		to = from
	}
	parse(to, &r.Max)
	if err != nil || r.Min < 0 || r.Min > r.Max {
		return Range{}, errors.New("must be N, N.., ..M or N..M")
	}
	return r, nil
}

// Bucket names a bucket and the region it is in. An empty Region is the region
// of whatever the bucket is used for.
type Bucket struct{ Name, Region string }

var (
	bucketName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9][a-z0-9-]+[a-z0-9]$`) })
	regionName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`) })
)

// maxLabel is how long either may be.
const maxLabel = 63

// ParseBucket parses BUCKET or BUCKET@REGION.
func ParseBucket(text string) (Bucket, error) {
	name, region, hasRegion := strings.Cut(text, "@")
	if max(len(name), len(region)) > maxLabel || !bucketName().MatchString(name) || hasRegion && !regionName().MatchString(region) {
		return Bucket{}, errors.New("must be BUCKET or BUCKET@REGION, like my-backups@cn-hangzhou")
	}
	return Bucket{name, region}, nil
}
