package sandbox

import "maps"

// Counts are how often a cloud has been asked for something so far.
type Counts struct {
	Calls    map[string]int        // calls by the vendor's name of the operation (GetDownloadJob, GetObject …), refused ones too; no requests by URL
	Refused  map[string]int        // errors by code, of calls and of requests for files
	Requests int                   // for files and objects, by URL or by key, refused ones too
	Bytes    int64                 // of files and objects, as sent in bodies
	Jobs     map[string]ItemCounts // by "PROJECT/JOB"
	Orders   map[string]ItemCounts // by "ORDER/KEY"
	Tasks    map[string]ItemCounts // by "INSTANCE/TASK"
	Objects  map[string]ItemCounts // by "BUCKET/KEY"
}

// ItemCounts are how often one job, order, task or object has been asked for so
// far.
type ItemCounts struct {
	StatusCalls int   // calls for its status with a good signature, throttled ones too
	Requests    int   // for its file, with a good URL or key
	Bytes       int64 // of its file, as sent in bodies
}

// Counts returns a copy of the counts so far.
func (c *Cloud) Counts() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.counts
	for _, m := range []*map[string]int{&n.Calls, &n.Refused} {
		*m = maps.Clone(*m)
	}
	for _, m := range []*map[string]ItemCounts{&n.Jobs, &n.Orders, &n.Tasks, &n.Objects} {
		*m = maps.Clone(*m)
	}
	return n
}

// count changes the counts under the lock.
func (c *Cloud) count(add func(*Counts)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	add(&c.counts)
}

// count adds to the counts of o. The caller has the cloud's lock.
func (o *object) count(more ItemCounts) {
	n := o.counts[o.countName]
	n.StatusCalls += more.StatusCalls
	n.Requests += more.Requests
	n.Bytes += more.Bytes
	o.counts[o.countName] = n
}
