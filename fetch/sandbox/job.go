package sandbox

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// The statuses that SLS names. A Job may have any other.
const (
	JobStarting  = "STARTING"
	JobRunning   = "RUNNING"
	JobSucceeded = "SUCCEEDED"
	JobFailed    = "ERROR"
)

// Absent leaves a field out of the answer: as the CheckSum of a Job, or as the
// PublicURL or PrivateURL of a Task.
const Absent = "-"

// A Job is a download job of SLS: what GetDownloadJob answers, and the file
// that the job made.
type Job struct {
	Name        string
	DisplayName string // "" = Name
	Description string
	CreateTime  time.Time // zero = when it was added

	Logstore         string // "" = "access-log"
	Query            string // "" = "*"
	FromTime, ToTime time.Time
	PowerSQL         bool
	AllowIncomplete  bool
	// With a Bucket the job writes to the customer's own bucket, which is made
	// if need be, and the answer has no filePath but FilePath. The job writes
	// once its status is SUCCEEDED. After that UpdateObject alone changes what is
	// there, until an UpdateJob makes the job write again.
	Bucket, Prefix, RoleARN string
	// Files are what the job writes there, at PREFIX and the file's name. A file
	// without a name takes the job's, and of several "JOB-1.csv", "JOB-2.csv" and
	// so on. nil = File. AddObject adds what else is to be there.
	Files []File
	// DeclaredCompression is the compressionType of the answer, whatever the
	// file is. "" = the file's codec.
	DeclaredCompression string

	// Each GetDownloadJob answers the next of Statuses, and the last for ever. A
	// listing repeats the latest. nil = SUCCEEDED.
	Statuses []string
	Error    string // errorMessage, in an answer with ERROR
	Notice   string

	// What the answer promises of the file, where that is not the truth. Of
	// several files it has the sums, and no checksum.
	LogCount *int64 // nil = File.Rows; negative = absent
	FileSize *int64 // nil = the file's; negative = absent
	CheckSum string // "" = the file's ETag, unquoted; Absent = absent
	FilePath string // "" = a signed URL of File; with a Bucket, absent

	// The first calls answer 503 ServerBusy (Unavailable of them), the next
	// 403 MetaOperationQpsLimitExceeded (Throttles of them). They use up no
	// status.
	Unavailable int
	Throttles   int

	File File
}

// AddProject makes a project without jobs. A project that exists is left as it
// is.
func (c *Cloud) AddProject(project string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.addProject(project)
}

func (c *Cloud) addProject(project string) map[string]*jobState {
	if c.projects[project] == nil {
		c.projects[project] = map[string]*jobState{}
	}
	return c.projects[project]
}

// AddJob adds a job, and its project if need be. It replaces a job of the same
// name. It panics on a file that cannot be made (see File).
func (c *Cloud) AddJob(project string, j Job) {
	s := c.newJobState(project, j)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.addJob(s)
}

// RemoveJob removes a job. Its URLs then answer NoSuchKey.
func (c *Cloud) RemoveJob(project, job string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removeJob(project, job)
}

// UpdateJob calls change under the cloud's lock and reports whether there is
// such a job. change must not call the cloud, and must replace a Body, not write
// into it. The counts of what it changes (Statuses, Throttles, a fault) start
// again; the others go on. A change of Name is ignored.
func (c *Cloud) UpdateJob(project, job string, change func(*Job)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.projects[project][job]
	if s == nil {
		return false
	}
	old := s.Job
	old.Statuses, old.Files = slices.Clone(old.Statuses), slices.Clone(old.Files)
	change(&s.Job)
	s.Name = old.Name
	delete(c.newest, project) // it may have another time
	resetUnless(slices.Equal(old.Statuses, s.Statuses), &s.gets)
	resetUnless(old.Throttles == s.Throttles, &s.throttled)
	resetUnless(old.Unavailable == s.Unavailable, &s.unavailable)
	s.object.fileChanged(old.File)
	written := func(j Job) []any { return []any{j.Statuses, j.Bucket, j.Prefix, j.File, j.Files} }
	if !reflect.DeepEqual(written(old), written(s.Job)) {
		s.outputs = c.newOutputs(s.Bucket, s.Prefix, s.Name, s.File, s.Files)
	}
	return true
}

// Jobs returns the jobs of a project that are there, in the order in which they were
// added. The one status of each is its latest, as a listing has it.
func (c *Cloud) Jobs(project string) []Job {
	c.mu.Lock()
	defer c.mu.Unlock()
	states := slices.SortedFunc(maps.Values(c.projects[project]), func(a, b *jobState) int { return cmp.Compare(a.number, b.number) })
	jobs := make([]Job, len(states))
	for i, s := range states {
		jobs[i] = s.Job
		jobs[i].Statuses, jobs[i].Files = []string{s.status()}, slices.Clone(s.Files)
	}
	return jobs
}

// JobURL returns a new signed URL of a job's file, as a console would, on
// origin, "http://HOST:PORT". It is "" if there is no such job.
func (c *Cloud) JobURL(origin, project, job string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.projects[project][job]
	if s == nil {
		return ""
	}
	return c.newURL(s.object, origin)
}

// A jobState is a job with what has happened to it so far.
type jobState struct {
	Job
	project string
	number  int // of two jobs of one second, the higher number is listed first

	gets                   int // that answered a status
	throttled, unavailable int

	object  *object // File, by signed URL
	outputs outputs
}

// status is the latest that was answered, or else the first.
func (s *jobState) status() string { return statusAt(s.Statuses, max(s.gets-1, 0), JobSucceeded) }

func (c *Cloud) newJobState(project string, j Job) *jobState {
	now := c.options.Now()
	if j.CreateTime.IsZero() {
		j.CreateTime = now
	}
	j.Statuses, j.Files = slices.Clone(j.Statuses), slices.Clone(j.Files)
	s := &jobState{Job: j, project: project}
	s.object = &object{
		file:      &s.File,
		bucket:    jobBucket,
		key:       func() string { return s.project + "/" + s.Name + "/" + cmp.Or(s.File.Name, s.Name+s.File.extension()) },
		counts:    c.counts.Jobs,
		countName: project + "/" + j.Name,
	}
	s.object.store(now)
	s.outputs = c.newOutputs(s.Bucket, s.Prefix, s.Name, s.File, s.Files)
	return s
}

// addJob needs the lock.
func (c *Cloud) addJob(s *jobState) {
	c.added++
	s.number = c.added
	c.addProject(s.project)[s.Name] = s
	delete(c.newest, s.project)
	if s.Bucket != "" {
		c.bucket(s.Bucket)
	}
	if isStatus(statusAt(s.Statuses, 0, JobSucceeded), JobSucceeded) {
		c.write(&s.outputs)
	}
}

func (c *Cloud) removeJob(project, job string) {
	delete(c.projects[project], job)
	delete(c.newest, project)
}

// newestFirst are the jobs of a project as they are listed. A million of them take
// seconds to sort, which is more than a page of them may take.
func (c *Cloud) newestFirst(project string) []*jobState {
	if c.newest[project] == nil {
		c.newest[project] = slices.SortedFunc(maps.Values(c.projects[project]), func(a, b *jobState) int {
			return cmp.Or(b.CreateTime.Compare(a.CreateTime), cmp.Compare(b.number, a.number))
		})
	}
	return c.newest[project]
}

// statusAt is the status in the answer of the n-th call, from 0: the n-th of
// statuses, or else the last, or where there are none otherwise.
func statusAt(statuses []string, n int, otherwise string) string {
	if len(statuses) == 0 {
		return otherwise
	}
	return statuses[min(n, len(statuses)-1)]
}

// isStatus compares as the clients do: without regard to case and spaces.
func isStatus(status, want string) bool {
	return strings.EqualFold(strings.TrimSpace(status), want)
}

// outputs are the objects that a job or a task writes to a bucket of the
// customer's.
type outputs struct {
	bucket  string // "" = none
	objects []*object
	written bool
}

// newOutputs makes the objects of files, or of file where they are nil. Their
// keys are prefix and the name of the file, which is by default name with a
// number, where there are several, and an extension.
func (c *Cloud) newOutputs(bucket, prefix, name string, file File, files []File) outputs {
	o := outputs{bucket: bucket}
	if bucket == "" {
		return o
	}
	if files == nil {
		files = []File{file}
	}
	for i, f := range files {
		numbered := name
		if len(files) > 1 {
			numbered = fmt.Sprint(name, "-", i+1)
		}
		o.objects = append(o.objects, c.newObject(bucket, prefix+cmp.Or(f.Name, numbered+f.extension()), f))
	}
	return o
}

// write puts the objects in their bucket, once. It needs the lock.
func (c *Cloud) write(o *outputs) {
	if o.written {
		return
	}
	o.written = true
	for _, object := range o.objects {
		object.date(c.options.Now())
		c.bucket(o.bucket).put(object)
	}
}
