package sandbox

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// A Bucket is one of the customer's own, and what goes wrong in listing it.
type Bucket struct {
	Region   string // that a V4 signature must be for. "" = any
	Endpoint string // the host, with its port, that it must be asked at. "" = any
	PageSize int    // the most keys a page has, however many are asked for. 0 = the vendor's 1000
	Busy     int    // so many first listings answer 503 with Retry-After: 1
}

// The buckets of the cloud's own, which hold what is given by URL only.
const (
	jobBucket   = "sls-downloads"
	orderBucket = "dms-downloads"
	taskBucket  = "dbs-downloads"
)

// bucketState is a bucket with what is in it.
type bucketState struct {
	Bucket
	name    string
	objects map[string]*object
	keys    []string // in order; nil where that is to be done again
	busy    int
}

// AddBucket makes a bucket, or changes the ways of one and leaves its objects.
// What is in one called sls-downloads, dms-downloads, dbs-downloads or
// downloadjobs cannot be
// asked for: the cloud has other uses for these names.
func (c *Cloud) AddBucket(name string, b Bucket) {
	c.mu.Lock()
	defer c.mu.Unlock()
	state := c.bucket(name)
	restart(state.Busy == b.Busy, &state.busy)
	state.Bucket = b
}

// AddObject puts an object in a bucket, which is made if need be, in place of
// one that has its key. Its key is signed and listed as it is, whatever is in
// it.
func (c *Cloud) AddObject(bucket, key string, f File) {
	o := c.newObject(bucket, key, f)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bucket(bucket).put(o)
}

// UpdateObject changes an object under the cloud's lock and reports whether
// there is such an object. It starts counts anew as Update does for a job.
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
	o.changed(old)
	return true
}

// RemoveObject takes an object out of its bucket.
func (c *Cloud) RemoveObject(bucket, key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b := c.buckets[bucket]; b != nil {
		delete(b.objects, key)
		b.keys = nil
	}
}

// Keys are those of a bucket's objects, in order.
func (c *Cloud) Keys(bucket string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.buckets[bucket] == nil {
		return nil
	}
	return slices.Clone(c.buckets[bucket].sorted())
}

func (c *Cloud) newObject(bucket, key string, f File) *object {
	o := &object{
		file:    &f,
		bucket:  bucket,
		key:     func() string { return key },
		tally:   c.counts.Objects,
		tallied: bucket + "/" + key,
	}
	o.store(c.options.Now())
	return o
}

func (c *Cloud) bucket(name string) *bucketState {
	if c.buckets[name] == nil {
		c.buckets[name] = &bucketState{name: name, objects: map[string]*object{}}
	}
	return c.buckets[name]
}

func (b *bucketState) put(o *object) {
	b.objects[o.key()] = o
	b.keys = nil
}

func (b *bucketState) sorted() []string {
	if b.keys == nil {
		b.keys = slices.Sorted(maps.Keys(b.objects))
	}
	return b.keys
}

func (c *Cloud) region(bucket string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b := c.buckets[bucket]; b != nil {
		return b.Region
	}
	return ""
}

// answers says whether the bucket may be asked at that host.
func (b *bucketState) answers(host string) *refusal {
	if b.Endpoint == "" || host == b.Endpoint || host == b.name+"."+b.Endpoint {
		return nil
	}
	return refuse(http.StatusForbidden, "AccessDenied", "The bucket you are attempting to access must be addressed using the specified endpoint. Please send all future requests to this endpoint.").
		with("Bucket", b.name).with("Endpoint", b.Endpoint).numbered("0003-00001403")
}

// own are the cloud's own files: the key of each begins with what it is of.
func (c *Cloud) own(bucket, key string) *object {
	parts := strings.SplitN(key, "/", 3)
	if len(parts) < 3 {
		return nil
	}
	switch bucket {
	case jobBucket:
		if e := c.projects[parts[0]][parts[1]]; e != nil {
			return e.object
		}
	case orderBucket:
		if e := c.orders[parts[0]+"/"+parts[1]]; e != nil {
			return e.object
		}
	case taskBucket:
		if i := c.instances[parts[0]]; i != nil && i.tasks[parts[1]] != nil {
			return i.tasks[parts[1]].object
		}
	}
	return nil
}

func isOwn(bucket string) bool {
	return bucket == jobBucket || bucket == orderBucket || bucket == taskBucket
}

// object finds what a visit is for, and whoever came by key finds the
// customer's buckets only.
func (c *Cloud) object(v visit) (*object, *refusal) {
	var o *object
	if isOwn(v.bucket) {
		o = c.own(v.bucket, v.key)
	} else {
		b, bad := c.opened(v)
		if bad != nil {
			return nil, bad
		}
		o = b.objects[v.key]
	}
	if o == nil || o.file.Gone || o.key() != v.key {
		return nil, refuse(http.StatusNotFound, "NoSuchKey", "The specified key does not exist.").with("Key", v.key).numbered("0026-00000001")
	}
	return o, nil
}

// opened is the customer's bucket that a visit is for.
func (c *Cloud) opened(v visit) (*bucketState, *refusal) {
	b := c.buckets[v.bucket]
	if b == nil {
		return nil, refuse(http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist.").with("BucketName", v.bucket).numbered("0015-00000101")
	}
	return b, b.answers(v.Host)
}
