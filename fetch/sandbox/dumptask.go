package sandbox

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A DumpTask is a dump task of DIS: what its log and its description answer,
// and the files that it delivers to a bucket of the customer's in OBS.
type DumpTask struct {
	ID       string
	Name     string // "" = "dump-" and the ID
	Project  string // "" = "project-1"
	Stream   string // "" = "access-log"
	StreamID string // "" = the stream's name

	Bucket, Prefix string
	Partition      string         // partition_format, such as "yyyy/MM/dd": the directories by time
	Zone           *time.Location // of these directories. nil = UTC+8, which is a guess
	FileType       string         // destination_file_type. "" = text
	Compression    string         // compression_format: none (as is ""), gzip
	Delimiter      string         // record_delimiter. "" = a newline

	// Deliveries are its files. Each is put in the bucket once it has ended with
	// state 0. After that UpdateObject alone changes what is there.
	Deliveries []Delivery

	SingleRow  bool // a page with one row has the row in place of a list, as the vendor's sample does
	ErrorCode  any  // of a success. nil = -1, as in that sample
	NoTaskID   bool // neither the list of tasks nor a task has its ID
	BrokenKeys bool // the description has a quote too many in file_prefix

	// The first calls for the log answer 500 DIS.5000 (Unavailable of them), the
	// next 400 DIS.4303 (Throttles of them).
	Unavailable int
	Throttles   int
}

// A Delivery is one row of a dump task's log, and the file that it tells of.
type Delivery struct {
	Number       int    // in the file's name
	Name         string // transferFileName. "" = "ID.STREAM.NUMBER.MILLISECONDS", 10 ms after Start
	Key          string // "" = PREFIX/TIME/NAME, which is how the vendor is thought to form it
	Start, End   time.Time
	RunningCalls int    // how many calls for the log have the row without an end, before the first that has it
	State        int    // 0 = succeeded
	Bytes        *int64 // transferBytes. nil = the file's; negative = absent
	Records      *int64 // transferRecordsNum. nil = File.Rows; negative = absent

	// File is the file: its Body, or that many rows of JSON, with the task's
	// delimiter behind each, compressed as the task says.
	File File
}

// A dumpTaskState is a dump task with what has happened to it so far.
type dumpTaskState struct {
	DumpTask
	logCalls               int // that were answered
	throttled, unavailable int
	delivered              map[string]bool // by file name
}

// AddDumpTask adds a dump task, and its bucket if need be. It replaces one of the
// same ID. It panics on a compression that DumpTask does not name.
func (c *Cloud) AddDumpTask(t DumpTask) {
	t.Deliveries = slices.Clone(t.Deliveries)
	t.setDefaults()
	s := &dumpTaskState{DumpTask: t, delivered: map[string]bool{}}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dumpTasks[t.ID] = s
	c.deliver(s)
}

// RemoveDumpTask removes a dump task. What it delivered stays.
func (c *Cloud) RemoveDumpTask(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.dumpTasks, id)
}

// UpdateDumpTask calls change under the cloud's lock and reports whether there
// is such a task. Counts start again as with UpdateJob. A change of ID is
// ignored.
func (c *Cloud) UpdateDumpTask(id string, change func(*DumpTask)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.dumpTasks[id]
	if s == nil {
		return false
	}
	old := s.DumpTask
	change(&s.DumpTask)
	s.ID = old.ID
	s.setDefaults()
	resetUnless(old.Throttles == s.Throttles, &s.throttled)
	resetUnless(old.Unavailable == s.Unavailable, &s.unavailable)
	c.deliver(s)
	return true
}

func (t *DumpTask) setDefaults() {
	t.Name, t.Project, t.Stream = cmp.Or(t.Name, "dump-"+t.ID), cmp.Or(t.Project, "project-1"), cmp.Or(t.Stream, "access-log")
}

func (t DumpTask) fileName(d Delivery) string {
	return cmp.Or(d.Name, fmt.Sprintf("%s.%s.%d.%d", t.ID, t.Stream, d.Number, d.Start.UnixMilli()+10))
}

var guessedZone = time.FixedZone("", 8*60*60)

// content is the body of a delivery's file.
func (t DumpTask) content(f File) []byte {
	if f.Body != nil {
		return f.Body
	}
	rows := Generate(f.Rows, "json", f.Seed)
	return Compress(cmp.Or(t.Compression, "none"), bytes.ReplaceAll(rows, []byte("\n"), []byte(cmp.Or(t.Delimiter, "\n"))))
}

// deliver puts the files that have ended in the bucket. It needs the lock.
func (c *Cloud) deliver(s *dumpTaskState) {
	bucket := c.bucket(s.Bucket)
	layout := strings.NewReplacer("yyyy", "2006", "MM", "01", "dd", "02", "HH", "15", "mm", "04").Replace(s.Partition)
	for i, d := range s.Deliveries {
		s.Deliveries[i].File.Body = s.content(d.File)
		name := s.fileName(d)
		if s.delivered[name] || d.State != 0 || d.End.IsZero() || d.RunningCalls > 0 && s.logCalls <= d.RunningCalls {
			continue
		}
		s.delivered[name] = true
		elements := []string{strings.Trim(s.Prefix, "/"), d.Start.In(cmp.Or(s.Zone, guessedZone)).Format(layout), name}
		elements = slices.DeleteFunc(elements, func(element string) bool { return element == "" })
		bucket.put(c.newObject(s.Bucket, cmp.Or(d.Key, strings.Join(elements, "/")), s.Deliveries[i].File))
	}
}
