package sandbox

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A DumpTask is a dump task of DIS: what its log and its description tell, and
// the files that it delivers to a bucket of the customer's, which is asked by
// the protocol of OBS.
type DumpTask struct {
	ID       string
	Name     string // "" = "dump-" and the ID
	Project  string // "" = "project-1"
	Stream   string // "" = "access-log"
	StreamID string // "" = the stream's name

	Bucket, Prefix string
	Partition      string         // partition_format, like "yyyy/MM/dd": the directories of time
	Zone           *time.Location // of these directories. nil = UTC+8, which is a guess
	FileType       string         // destination_file_type. "" = text
	Compression    string         // compression_format: none (as is ""), gzip
	Delimiter      string         // record_delimiter. "" = a newline

	// Deliveries are its files. Each is put in the bucket once it has ended
	// with state 0, and from then on what is there is changed by UpdateObject
	// only.
	Deliveries []Delivery

	SingleRow  bool // a page with one row has it for a list, as the vendor's sample does
	ErrorCode  any  // of a success. nil = -1, as in that sample
	NoTaskID   bool // neither the list of tasks nor a task tells its ID
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
	Key          string // "" = as the vendor is thought to form it: PREFIX/TIME/NAME
	Start, End   time.Time
	RunningCalls int    // so many first calls for the log tell it without an end
	State        int    // 0 = succeeded
	Bytes        *int64 // transferBytes. nil = the file's; negative = not told
	Records      *int64 // transferRecordsNum. nil = File.Rows; negative = not told

	// File is the file: its Body, or as many rows of JSON as it has, with the
	// task's delimiter behind each, compressed as the task says.
	File File
}

// A dumpEntry is a dump task with what has happened to it so far.
type dumpEntry struct {
	DumpTask
	asked                  int // for its log, and answered
	throttled, unavailable int
	delivered              map[string]bool // by name
}

// AddDumpTask adds a dump task. One of the same ID is replaced.
func (c *Cloud) AddDumpTask(t DumpTask) {
	t.Deliveries = slices.Clone(t.Deliveries)
	e := &dumpEntry{DumpTask: t, delivered: map[string]bool{}}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dumps == nil {
		c.dumps = map[string]*dumpEntry{}
	}
	c.dumps[t.ID] = e
	c.bucket(t.Bucket)
	c.deliverAll(e)
}

// RemoveDumpTask forgets a dump task. What it delivered stays.
func (c *Cloud) RemoveDumpTask(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.dumps, id)
}

// UpdateDumpTask changes a dump task under the cloud's lock and reports whether
// there is such a task. It starts counts anew as Update does for a job. The ID
// can't be changed.
func (c *Cloud) UpdateDumpTask(id string, change func(*DumpTask)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.dumps[id]
	if e == nil {
		return false
	}
	old := e.DumpTask
	change(&e.DumpTask)
	e.ID = old.ID
	restart(old.Throttles == e.Throttles, &e.throttled)
	restart(old.Unavailable == e.Unavailable, &e.unavailable)
	c.bucket(e.Bucket)
	c.deliverAll(e)
	return true
}

func (t DumpTask) name() string    { return cmp.Or(t.Name, "dump-"+t.ID) }
func (t DumpTask) project() string { return cmp.Or(t.Project, "project-1") }
func (t DumpTask) stream() string  { return cmp.Or(t.Stream, "access-log") }

func (t DumpTask) file(d Delivery) string {
	return cmp.Or(d.Name, fmt.Sprintf("%s.%s.%d.%d", t.ID, t.stream(), d.Number, d.Start.UnixMilli()+10))
}

var guessedZone = time.FixedZone("", 8*60*60)

// key is where a delivery goes.
func (t DumpTask) key(d Delivery) string {
	zone := cmp.Or(t.Zone, guessedZone)
	layout := strings.NewReplacer("yyyy", "2006", "MM", "01", "dd", "02", "HH", "15", "mm", "04").Replace(t.Partition)
	elements := []string{strings.Trim(t.Prefix, "/"), d.Start.In(zone).Format(layout), t.file(d)}
	elements = slices.DeleteFunc(elements, func(s string) bool { return s == "" })
	return cmp.Or(d.Key, strings.Join(elements, "/"))
}

// content is the body of a delivery's file.
func (t DumpTask) content(f File) []byte {
	if f.Body != nil {
		return f.Body
	}
	rows := Generate(f.Rows, "json", f.Seed)
	return Compress(cmp.Or(t.Compression, "none"), bytes.ReplaceAll(rows, []byte("\n"), []byte(cmp.Or(t.Delimiter, "\n"))))
}

// ended says whether the row of a delivery tells an end.
func (e *dumpEntry) ended(d Delivery) bool { return !d.End.IsZero() && e.asked > d.RunningCalls }

// deliverAll puts in the bucket what has ended. It needs the lock.
func (c *Cloud) deliverAll(e *dumpEntry) {
	for i, d := range e.Deliveries {
		if d.File.Body == nil {
			e.Deliveries[i].File.Body = e.content(d.File)
		}
		if e.delivered[e.file(d)] || d.State != 0 || d.End.IsZero() || d.RunningCalls > 0 && !e.ended(d) {
			continue
		}
		e.delivered[e.file(d)] = true
		c.bucket(e.Bucket).put(c.newObject(e.Bucket, e.key(d), e.Deliveries[i].File))
	}
}

func noSuchDump(id string) *refusal {
	return refuse(http.StatusBadRequest, "DIS.4354", "The transfer task %s does not exist", id)
}

// dumpsOf are those of a stream, by name.
func (c *Cloud) dumpsOf(project, stream string) ([]*dumpEntry, *refusal) {
	var found []*dumpEntry
	for _, id := range slices.Sorted(maps.Keys(c.dumps)) {
		if e := c.dumps[id]; e.project() == project && e.stream() == stream {
			found = append(found, e)
		}
	}
	if found == nil {
		return nil, refuse(http.StatusBadRequest, "DIS.4301", "The stream %s does not exist", stream)
	}
	return found, nil
}
