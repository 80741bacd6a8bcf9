package sandbox

import "maps"

// Counts are what has been asked of a cloud so far.
type Counts struct {
	Calls    map[string]int        // calls by name, refused ones too: of the job API (GetDownloadJob …), of the orders', and of the store by key (GetObject, ListObjectsV2 …)
	Refused  map[string]int        // refusals by error code, of calls and of requests for files
	Requests int                   // for files and objects, by URL or by key, refused ones too
	Bytes    int64                 // of files and objects, as sent in bodies
	Jobs     map[string]ItemCounts // by "PROJECT/JOB"
	Orders   map[string]ItemCounts // by "ORDER/KEY"
	Tasks    map[string]ItemCounts // by "INSTANCE/TASK"
	Objects  map[string]ItemCounts // by "BUCKET/KEY"
}

// ItemCounts are what has been asked of one job, order, task or object.
type ItemCounts struct {
	StatusCalls int   // calls for its status let in, throttled ones too
	Requests    int   // for its file, with a good URL or key
	Bytes       int64 // of its file, as sent in bodies
}

func newCounts() Counts {
	return Counts{
		Calls: map[string]int{}, Refused: map[string]int{},
		Jobs: map[string]ItemCounts{}, Orders: map[string]ItemCounts{}, Tasks: map[string]ItemCounts{}, Objects: map[string]ItemCounts{},
	}
}

// Counts returns a copy of the counts so far.
func (c *Cloud) Counts() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.counts
	n.Calls, n.Refused = maps.Clone(n.Calls), maps.Clone(n.Refused)
	n.Jobs, n.Orders, n.Tasks, n.Objects = maps.Clone(n.Jobs), maps.Clone(n.Orders), maps.Clone(n.Tasks), maps.Clone(n.Objects)
	return n
}

func (c *Cloud) countCall(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts.Calls[name]++
}

func (c *Cloud) countRequest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts.Requests++
}

func (c *Cloud) countRefusal(code string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts.Refused[code]++
}

// countBytes counts n bytes of o, sent in that use of it, if in one.
func (c *Cloud) countBytes(o *object, u *use, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts.Bytes += int64(n)
	if u != nil {
		u.bytes += int64(n)
	}
	o.count(ItemCounts{Bytes: int64(n)})
}

// count needs the lock.
func (o *object) count(more ItemCounts) {
	n := o.tally[o.tallied]
	n.StatusCalls += more.StatusCalls
	n.Requests += more.Requests
	n.Bytes += more.Bytes
	o.tally[o.tallied] = n
}
