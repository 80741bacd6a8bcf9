package sandbox

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// The statuses that DBS names for a download task. A Task may have any other.
const (
	TaskInitializing = "Initializing"
	TaskQueueing     = "queueing"
	TaskQueuing      = "queuing" // the vendor spells it both ways
	TaskRunning      = "running"
	TaskFinished     = "finished"
	TaskFailed       = "failed"
	TaskExpired      = "expired"
)

// An Instance is a database instance of DBS: how DescribeDownloadTask answers
// for its tasks.
type Instance struct {
	Region   string // RegionCode. "" = any
	PageSize int    // the most tasks in a page, however many are asked for. 0 = the vendor's 100
	Extra    string

	// These turn off the quirks of the vendor's own example of an answer.
	NoUnknownError bool // a success has no code and message of an error
	BoolSuccess    bool // Success is a bool, not a string
	ListContent    bool // Content is a list, as on the vendor's page, not an object with a List

	OldTotals  bool   // Number, Size and Total, as before November 2022
	TotalPages *int64 // nil = as many as there are; negative = absent
	TotalTasks *int64 // TotalElements, likewise
	Ascending  bool   // the oldest task comes first, whatever is asked for

	// The first calls answer 503 ServiceUnavailable (Unavailable of them), the
	// next 400 Throttling.User (Throttles of them), the next fail as Failure says.
	Unavailable int
	Throttles   int
	Failure     Failure
}

// A Task is a download task of DBS: what DescribeDownloadTask answers, and the
// file that the task made.
type Task struct {
	ID         string
	CreateTime time.Time // zero = when it was added
	Format     string    // csv (as is ""), SQL, Parquet

	// Each call whose page the task is on answers the next of Statuses, and the
	// last for ever. nil = finished.
	Statuses []string
	Progress string // "" = 1/1 for a finished task, else 0/0

	// With a Bucket the task writes to the customer's own bucket, which is made
	// if need be, below Path, and there is no URL. It writes once it is finished;
	// after that UpdateObject alone changes what is there.
	Bucket, Path string
	// Files are what the task writes there, at PATH/ID/ and the file's name. A
	// file without a name takes the task's ID, and of several "ID-1.csv",
	// "ID-2.csv" and so on. nil = File.
	Files []File

	// What DescribeDownloadBackupSetStorageInfo answers: URLs that live as long as
	// the call asks for.
	PublicURL, PrivateURL string // "" = a signed URL of File; Absent = absent
	Milliseconds          bool   // ExpirationTime is in milliseconds, as on the vendor's page, not in seconds, as in its example
	// Its first calls answer 503, 400 and a failure, as those of an Instance do.
	Unavailable int
	Throttles   int
	Failure     Failure

	File File
}

// AddInstance makes an instance, or changes the settings of one and leaves its
// tasks. Counts start again as with UpdateJob.
func (c *Cloud) AddInstance(name string, i Instance) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.instance(name)
	resetUnless(s.Throttles == i.Throttles, &s.faults.throttled)
	resetUnless(s.Unavailable == i.Unavailable, &s.faults.unavailable)
	resetUnless(s.Failure == i.Failure, &s.faults.failed)
	s.Instance = i
}

// AddTask adds a task, and its instance if need be. It replaces a task of the
// same ID. It panics on a file that cannot be made (see File).
func (c *Cloud) AddTask(instance string, t Task) {
	now := c.options.Now()
	if t.CreateTime.IsZero() {
		t.CreateTime = now
	}
	t.Statuses, t.Files = slices.Clone(t.Statuses), slices.Clone(t.Files)
	s := &taskState{Task: t}
	s.object = &object{
		file:   &s.File,
		bucket: taskBucket,
		key: func() string {
			return instance + "/" + s.ID + "/dbs_target_file_path/" + cmp.Or(s.File.Name, s.ID+s.File.extension())
		},
		counts:    c.counts.Tasks,
		countName: instance + "/" + t.ID,
	}
	s.object.store(now)
	s.outputs = c.newOutputs(t.Bucket, strings.TrimPrefix(strings.TrimSuffix(t.Path, "/")+"/"+t.ID+"/", "/"), t.ID, t.File, t.Files)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.added++
	s.number = c.added
	c.instance(instance).tasks[t.ID] = s
	if t.Bucket != "" {
		c.bucket(t.Bucket)
	}
}

// RemoveTask removes a task. Its URLs then answer NoSuchKey.
func (c *Cloud) RemoveTask(instance, id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.instance(instance).tasks, id)
}

// UpdateTask calls change under the cloud's lock and reports whether there is
// such a task. Counts start again as with UpdateJob. A change of ID, or of what
// is written to a bucket, is ignored.
func (c *Cloud) UpdateTask(instance, id string, change func(*Task)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.instance(instance).tasks[id]
	if s == nil {
		return false
	}
	old := s.Task
	old.Statuses = slices.Clone(old.Statuses)
	change(&s.Task)
	s.ID = old.ID
	resetUnless(slices.Equal(old.Statuses, s.Statuses), &s.gets)
	resetUnless(old.Throttles == s.Throttles, &s.faults.throttled)
	resetUnless(old.Unavailable == s.Unavailable, &s.faults.unavailable)
	resetUnless(old.Failure == s.Failure, &s.faults.failed)
	s.object.fileChanged(old.File)
	return true
}

// An instanceState is an instance with its tasks, and what has happened to it
// so far.
type instanceState struct {
	Instance
	tasks  map[string]*taskState // by ID
	faults rpcFaults
}

func (c *Cloud) instance(name string) *instanceState {
	if c.instances[name] == nil {
		c.instances[name] = &instanceState{tasks: map[string]*taskState{}}
	}
	return c.instances[name]
}

// A taskState is a task with what has happened to it so far.
type taskState struct {
	Task
	number int // of two tasks of one moment, the higher number is listed first

	gets   int // that answered a status
	faults rpcFaults

	object  *object // File, by signed URL
	outputs outputs
}
