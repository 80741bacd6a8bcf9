package sandbox

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A taskEntry is a task with what has happened to it so far.
type taskEntry struct {
	Task
	instance string
	number   int // the order of adding: newer tasks of one moment are listed first

	gets                           int // told a status
	throttled, unavailable, failed int

	object  *object   // File, by signed URL
	exports []*object // what it writes to its bucket
	written bool      // the exports are in the bucket
}

func (c *Cloud) newTask(instance string, t Task) *taskEntry {
	now := c.options.Now()
	if t.CreateTime.IsZero() {
		t.CreateTime = now
	}
	t.Statuses, t.Files = slices.Clone(t.Statuses), slices.Clone(t.Files)
	e := &taskEntry{Task: t, instance: instance}
	e.object = &object{
		file:   &e.File,
		bucket: taskBucket,
		key: func() string {
			return e.name() + "/dbs_target_file_path/" + cmp.Or(e.File.Name, e.ID+e.File.extension())
		},
		tally:   c.counts.Tasks,
		tallied: e.name(),
	}
	e.object.store(now)
	c.exportTask(e)
	return e
}

func (e *taskEntry) name() string { return e.instance + "/" + e.ID }

// exportTask makes what the task is to write, for one that has a bucket.
func (c *Cloud) exportTask(e *taskEntry) {
	if e.Bucket == "" {
		return
	}
	files := e.Files
	if files == nil {
		files = []File{e.File}
	}
	for i, f := range files {
		name := e.ID
		if len(files) > 1 {
			name = fmt.Sprint(name, "-", i+1)
		}
		key := strings.TrimPrefix(strings.TrimSuffix(e.Path, "/")+"/"+e.ID+"/"+cmp.Or(f.Name, name+f.extension()), "/")
		e.exports = append(e.exports, c.newObject(e.Bucket, key, f))
	}
}

// writeTask puts the task's files in its bucket, once.
func (c *Cloud) writeTask(e *taskEntry) {
	if e.written {
		return
	}
	e.written = true
	for _, o := range e.exports {
		o.date(c.options.Now())
		c.bucket(e.Bucket).put(o)
	}
}

func (e *taskEntry) changed(old Task) {
	restart(slices.Equal(old.Statuses, e.Statuses), &e.gets)
	restart(old.Throttles == e.Throttles, &e.throttled)
	restart(old.Unavailable == e.Unavailable, &e.unavailable)
	restart(old.Failure == e.Failure, &e.failed)
	e.object.changed(old.File)
}

// status is the one that the n-th call is told.
func (t Task) status(n int) string {
	if len(t.Statuses) == 0 {
		return TaskFinished
	}
	return t.Statuses[min(n, len(t.Statuses)-1)]
}

func finished(status string) bool {
	return strings.EqualFold(strings.TrimSpace(status), TaskFinished)
}

// A taskDescription is a task as the API tells it: in texts alone.
type taskDescription struct {
	TaskID         string `json:"TaskId" xml:"TaskId"`
	RegionCode     string
	Format         string
	DBList         string `json:"DbList" xml:"DbList"`
	BakSetID       string `json:"BakSetId" xml:"BakSetId"`
	DownloadStatus string
	ExportDataSize string
	ImportDataSize string
	BackupSetTime  string
	TargetType     string
	TargetPath     string
	Progress       string
	GmtCreate      string
}

// describe tells of a task, which uses up a status.
func (c *Cloud) describeTask(e *taskEntry, region string) taskDescription {
	e.object.count(ItemCounts{StatusCalls: 1})
	status, created := e.status(e.gets), strconv.FormatInt(e.CreateTime.UnixMilli(), 10)
	e.gets++
	d := taskDescription{
		TaskID: e.ID, RegionCode: region, Format: cmp.Or(e.Format, "csv"), DBList: "[dbtest]", BakSetID: "148261****",
		DownloadStatus: status, ExportDataSize: "0", ImportDataSize: "0", BackupSetTime: created,
		TargetType: "URL", TargetPath: e.Path, Progress: cmp.Or(e.Progress, "0/0"), GmtCreate: created,
	}
	if e.Bucket != "" {
		d.TargetType = "OSS"
	}
	if finished(status) {
		c.writeTask(e)
		d.Progress = cmp.Or(e.Progress, "1/1")
	}
	return d
}
