package sandbox

import "maps"

// Counts are what has been asked of a cloud so far.
type Counts struct {
	Calls    map[string]int       // job API calls by name (GetDownloadJob …), refused ones too
	Refused  map[string]int       // refusals by error code, of calls and of requests for files
	Requests int                  // for files, refused ones too
	Bytes    int64                // of files, as sent in bodies
	Jobs     map[string]JobCounts // by "PROJECT/JOB"
}

// JobCounts are what has been asked of one job.
type JobCounts struct {
	Gets     int   // GetDownloadJob calls let in, throttled ones too
	Requests int   // for its file, with a good URL
	Bytes    int64 // of its file, as sent in bodies
}

func newCounts() Counts {
	return Counts{Calls: map[string]int{}, Refused: map[string]int{}, Jobs: map[string]JobCounts{}}
}

// Counts returns a copy of the counts so far.
func (c *Cloud) Counts() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.counts
	n.Calls, n.Refused, n.Jobs = maps.Clone(n.Calls), maps.Clone(n.Refused), maps.Clone(n.Jobs)
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

// countBytes counts n bytes of e's file, sent under the URL of that use.
func (c *Cloud) countBytes(e *entry, u *use, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts.Bytes += int64(n)
	u.bytes += int64(n)
	c.countJob(e, JobCounts{Bytes: int64(n)})
}

// countJob needs the lock.
func (c *Cloud) countJob(e *entry, more JobCounts) {
	key := e.project + "/" + e.Name
	n := c.counts.Jobs[key]
	n.Gets += more.Gets
	n.Requests += more.Requests
	n.Bytes += more.Bytes
	c.counts.Jobs[key] = n
}
