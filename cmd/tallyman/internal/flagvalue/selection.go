package flagvalue

import (
	"errors"
	"hash/fnv"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"tallyman/fetch"
)

// Shard is one of several parts of the archive. Each key is in exactly one of
// them, by its hash. The zero Shard has all keys.
type Shard struct{ k, n uint64 }

// ParseShard parses K/N, the Kth of N shards. The empty text is the zero Shard.
func ParseShard(text string) (Shard, error) {
	if text == "" {
		return Shard{}, nil
	}
	before, after, _ := strings.Cut(text, "/")
	k, errK := strconv.ParseUint(before, 10, 32)
	n, errN := strconv.ParseUint(after, 10, 32)
	if errK != nil || errN != nil || k < 1 || k > n {
		return Shard{}, errors.New("must be K/N, like 1/7, with K from 1 to N")
	}
	return Shard{k, n}, nil
}

// Has reports whether key is in the shard.
func (s Shard) Has(key string) bool {
	if s.n == 0 {
		return true
	}
	h := fnv.New64a()
	h.Write([]byte(key))
	return h.Sum64()%s.n == s.k-1
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
