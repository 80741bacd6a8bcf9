package sandbox

import (
	"cmp"
	"slices"
	"time"
)

// The statuses that the vendor names for a download task. A Task may tell any
// other.
const (
	TaskInitializing = "Initializing"
	TaskQueueing     = "queueing"
	TaskQueuing      = "queuing" // the vendor spells it both ways
	TaskRunning      = "running"
	TaskFinished     = "finished"
	TaskFailed       = "failed"
	TaskExpired      = "expired"
)

// An Instance is one of databases (of DBS): how DescribeDownloadTask tells of
// its tasks.
type Instance struct {
	Region   string // RegionCode. "" = any
	PageSize int    // the most tasks a page has, however many are asked for. 0 = the vendor's 100
	Extra    string

	// The vendor's own example has these quirks, and so has every answer but
	// where it is told not to.
	NoUnknownError bool // a success tells no code and message of an error
	BoolSuccess    bool // Success is a bool, not a string
	ListContent    bool // Content is a list, as on the vendor's page, and has no List of its own

	OldTotals   bool   // Number, Size and Total are told, as before November 2022
	TotalPages  *int64 // nil = as many as there are; negative = not told
	TotalTasks  *int64 // TotalElements, likewise
	Ascending   bool   // the oldest task comes first, whatever is asked for
	Unavailable int    // so many first calls answer 503 ServiceUnavailable,
	Throttles   int    // so many next 400 Throttling.User,
	Failure     Failure
}

// A Task is a download task (of DBS): what DescribeDownloadTask tells of it,
// and the file that it made.
type Task struct {
	ID         string
	CreateTime time.Time // zero = when it was added
	Format     string    // csv (as is ""), SQL, Parquet

	// Statuses are told one a call whose page the task is on, and the last for
	// ever after. nil = finished.
	Statuses []string
	Progress string // "" = 1/1 where it is finished, else 0/0

	// With a Bucket the task writes to the customer's own bucket, which is made
	// if need be, below Path, and there is no URL. It writes once it is finished;
	// from then on what is there is changed by UpdateObject only.
	Bucket, Path string
	// Files are what it writes there, at PATH/ID/ and the file's name; a nameless
	// one takes the task's ID, and of several "ID-1.csv", "ID-2.csv" and on.
	// nil = File.
	Files []File

	// What DescribeDownloadBackupSetStorageInfo tells. It gives URLs that live
	// as long as they are asked to.
	PublicURL, PrivateURL string // "" = a signed URL of File; Absent = not told
	Milliseconds          bool   // ExpirationTime is in those, as on the vendor's page, and not in seconds, as in its example
	// Its first calls answer 503, the next 400 Throttling.User, the next fail.
	Unavailable int
	Throttles   int
	Failure     Failure

	File File
}

// AddInstance makes an instance, or changes the ways of one and leaves its
// tasks. Counts start anew as with Update.
func (c *Cloud) AddInstance(name string, i Instance) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.instance(name)
	restart(e.Throttles == i.Throttles, &e.throttled)
	restart(e.Unavailable == i.Unavailable, &e.unavailable)
	restart(e.Failure == i.Failure, &e.failed)
	e.Instance = i
}

// AddTask adds a task, and its instance if need be. A task of the same ID is
// replaced. It panics on a file that cannot be made (see File).
func (c *Cloud) AddTask(instance string, t Task) {
	e := c.newTask(instance, t)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.added++
	e.number = c.added
	c.instance(instance).tasks[e.ID] = e
	if e.Bucket != "" {
		c.bucket(e.Bucket)
	}
}

// RemoveTask forgets a task; its URLs then lead to NoSuchKey.
func (c *Cloud) RemoveTask(instance, id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.instance(instance).tasks, id)
}

// UpdateTask changes a task under the cloud's lock and reports whether there is
// such a task. It starts counts anew as Update does for a job. The ID, and what
// is written to a bucket, cannot be changed.
func (c *Cloud) UpdateTask(instance, id string, change func(*Task)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.instance(instance).tasks[id]
	if e == nil {
		return false
	}
	old := e.Task
	old.Statuses = slices.Clone(old.Statuses)
	change(&e.Task)
	e.ID = old.ID
	e.changed(old)
	return true
}

// An instanceEntry is an instance with its tasks, and what has happened to it
// so far.
type instanceEntry struct {
	Instance
	tasks map[string]*taskEntry

	throttled, unavailable, failed int
}

func (c *Cloud) instance(name string) *instanceEntry {
	if c.instances[name] == nil {
		c.instances[name] = &instanceEntry{tasks: map[string]*taskEntry{}}
	}
	return c.instances[name]
}

// newestFirst are the tasks in the order of the vendor's listing.
func (e *instanceEntry) newestFirst() []*taskEntry {
	var all []*taskEntry
	for _, t := range e.tasks {
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b *taskEntry) int {
		return cmp.Or(b.CreateTime.Compare(a.CreateTime), cmp.Compare(b.number, a.number))
	})
	return all
}
