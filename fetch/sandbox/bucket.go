package sandbox

import (
	"maps"
	"net/http"
	"slices"

	"tallyman/fetch/sandbox/internal/apierr"
)

// A Bucket is one of the customer's own, and what goes wrong in listing it.
type Bucket struct {
	Region   string // that a V4 signature must be for. "" = any
	Endpoint string // the host, with its port, that must be asked for the bucket. "" = any
	PageSize int    // the most keys in a page, however many are asked for. 0 = the vendor's 1000
	Busy     int    // how many listings are answered 503 with Retry-After: 1, before the first that succeeds
}

// A bucketState is a bucket with its objects.
type bucketState struct {
	Bucket
	name       string
	objects    map[string]*object // by key
	sortedKeys []string           // nil = not sorted since the last change
	busy       int                // listings that were answered so
}

// AddBucket makes a bucket, or changes the settings of one and leaves its
// objects. Nobody can read a bucket named sls-downloads, dms-downloads,
// dbs-downloads, downloadjobs or logstores: the cloud uses these names itself.
func (c *Cloud) AddBucket(name string, b Bucket) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.bucket(name)
	resetUnless(s.Busy == b.Busy, &s.busy)
	s.Bucket = b
}

// AddObject puts an object in a bucket, which is made if need be. It replaces
// one of the same key. Any key is signed and listed as it is. It panics on a file
// that cannot be made (see File).
func (c *Cloud) AddObject(bucket, key string, f File) {
	o := c.newObject(bucket, key, f)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bucket(bucket).put(o)
}

// UpdateObject calls change under the cloud's lock and reports whether there is
// such an object. Counts start again as with UpdateJob.
func (c *Cloud) UpdateObject(bucket, key string, change func(*File)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.buckets[bucket]
	if b == nil || b.objects[key] == nil {
		return false
	}
	o := b.objects[key]
	old := *o.file
	change(o.file)
	o.fileChanged(old)
	return true
}

// RemoveObject removes an object from its bucket.
func (c *Cloud) RemoveObject(bucket, key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b := c.buckets[bucket]; b != nil {
		delete(b.objects, key)
		b.sortedKeys = nil
	}
}

// Keys returns the keys of a bucket's objects, sorted.
func (c *Cloud) Keys(bucket string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.buckets[bucket] == nil {
		return nil
	}
	return slices.Clone(c.buckets[bucket].keys())
}

// bucket returns a bucket, which it makes if need be. It needs the lock.
func (c *Cloud) bucket(name string) *bucketState {
	if c.buckets[name] == nil {
		c.buckets[name] = &bucketState{name: name, objects: map[string]*object{}}
	}
	return c.buckets[name]
}

func (b *bucketState) put(o *object) {
	b.objects[o.key()] = o
	b.sortedKeys = nil
}

func (b *bucketState) keys() []string {
	if b.sortedKeys == nil {
		b.sortedKeys = slices.Sorted(maps.Keys(b.objects))
	}
	return b.sortedKeys
}

// isAt reports whether the bucket may be asked for at that host.
func (b *bucketState) isAt(host string) bool {
	return b.Endpoint == "" || host == b.Endpoint || host == b.name+"."+b.Endpoint
}

// customerBucket returns the bucket that a request is for.
func (c *Cloud) customerBucket(r storeRequest) (*bucketState, *apierr.Error) {
	b := c.buckets[r.Bucket]
	if b == nil {
		return nil, apierr.New(http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist.").WithDetail("BucketName", r.Bucket).WithEC("0015-00000101")
	}
	if !b.isAt(r.Host) {
		return nil, apierr.New(http.StatusForbidden, "AccessDenied", "The bucket you are attempting to access must be addressed using the specified endpoint. Please send all future requests to this endpoint.").
			WithDetail("Bucket", b.name).WithDetail("Endpoint", b.Endpoint).WithEC("0003-00001403")
	}
	return b, nil
}
