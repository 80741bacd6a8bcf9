package sandbox

import (
	"slices"
	"strings"
	"time"
)

// The statuses that the vendor names. A Job may tell any other.
const (
	JobStarting  = "STARTING"
	JobRunning   = "RUNNING"
	JobSucceeded = "SUCCEEDED"
	JobFailed    = "ERROR"
)

// Absent is a CheckSum that leaves the field out of the answer.
const Absent = "-"

// A Job is a download job as the cloud knows it: what it tells, and the file
// that it made.
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
	// if need be, and the answer has no filePath but one given below. It writes
	// once it tells SUCCEEDED; from then on what is there is changed by
	// UpdateObject only, until an Update of the job makes it write anew.
	Bucket, Prefix, RoleARN string
	// Files are what it writes there, at PREFIX and the file's name; a nameless
	// one takes the job's, and of several "JOB-1.csv", "JOB-2.csv" and on.
	// nil = File. What else is to lie there, older or of another job, is put
	// there by AddObject.
	Files []File
	// DeclaredCompression is told as compressionType, whatever the file is.
	// "" = the file's codec.
	DeclaredCompression string

	// Statuses are told one a GET, and the last for ever after. A listing
	// repeats the one last told. nil = SUCCEEDED.
	Statuses []string
	Error    string // errorMessage, told with ERROR
	Notice   string

	// What the job promises of its file, where that is not the truth. Of several
	// files it tells the sums, and no checksum.
	LogCount *int64 // nil = File.Rows; negative = not told
	FileSize *int64 // nil = the file's; negative = not told
	CheckSum string // "" = the file's ETag, unquoted; Absent = not told
	FilePath string // "" = a signed URL of File; with a Bucket, none

	// The first GETs answer 503 ServerBusy (Unavailable of them), the next
	// 403 MetaOperationQpsLimitExceeded (Throttles of them). They tell no
	// status and use none up.
	Unavailable int
	Throttles   int

	File File
}

// AddProject makes a project that has no jobs yet. One that is there stays.
func (c *Cloud) AddProject(project string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.jobs(project)
}

// AddJob adds a job, and its project if need be. A job of the same name is
// replaced. It panics on a file that cannot be made (see File).
func (c *Cloud) AddJob(project string, j Job) {
	e := c.newEntry(project, j)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put(e)
}

// RemoveJob forgets a job; its URLs then lead to NoSuchKey.
func (c *Cloud) RemoveJob(project, job string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.projects[project], job)
}

// UpdateJob changes a job under the cloud's lock and reports whether there is
// such a job. A count that the change touches (Statuses, Throttles, a fault)
// starts anew; the others go on. A Body must be replaced, not written into.
// The name of a job cannot be changed.
func (c *Cloud) UpdateJob(project, job string, change func(*Job)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.projects[project][job]
	if e == nil {
		return false
	}
	old := e.Job
	old.Statuses, old.Files = slices.Clone(old.Statuses), slices.Clone(old.Files)
	change(&e.Job)
	e.Name = old.Name
	c.changed(e, old)
	return true
}

// RenameJobFile moves a job's file: the URLs given so far lead to NoSuchKey.
func (c *Cloud) RenameJobFile(project, job, name string) bool {
	return c.UpdateJob(project, job, func(j *Job) { j.File.Name = name })
}

// RemoveJobFile takes a job's file away. The job goes on telling of it, as the
// vendor's does of a file that has aged out.
func (c *Cloud) RemoveJobFile(project, job string) bool {
	return c.UpdateJob(project, job, func(j *Job) { j.File.Gone = true })
}

func (c *Cloud) jobs(project string) map[string]*entry {
	if c.projects[project] == nil {
		c.projects[project] = map[string]*entry{}
	}
	return c.projects[project]
}

func (c *Cloud) put(e *entry) {
	c.added++
	e.number = c.added
	c.jobs(e.project)[e.Name] = e
	if e.Bucket != "" {
		c.bucket(e.Bucket)
	}
	if succeeded(e.status(0)) {
		c.write(e)
	}
}

// status is the one that the n-th GET is told.
func (j Job) status(n int) string {
	if len(j.Statuses) == 0 {
		return JobSucceeded
	}
	return j.Statuses[min(n, len(j.Statuses)-1)]
}

// percent is the progress that goes with that status: all of it when it is
// done, else its place among the statuses.
func (j Job) percent(n int) int {
	if succeeded(j.status(n)) {
		return 100
	}
	return 100 * min(n, len(j.Statuses)-1) / len(j.Statuses)
}

func succeeded(status string) bool {
	return strings.EqualFold(strings.TrimSpace(status), JobSucceeded)
}
