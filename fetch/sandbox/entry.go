package sandbox

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
)

// An entry is a job with what has happened to it so far.
type entry struct {
	Job
	project string
	number  int // the order of adding: newer jobs of one second are listed first

	gets        int // told a status
	throttled   int
	unavailable int

	object  *object   // File, by signed URL
	exports []*object // what it writes to its bucket
	written bool      // the exports are in the bucket
}

func (c *Cloud) newEntry(project string, j Job) *entry {
	now := c.options.Now()
	if j.CreateTime.IsZero() {
		j.CreateTime = now
	}
	j.Statuses, j.Files = slices.Clone(j.Statuses), slices.Clone(j.Files)
	e := &entry{Job: j, project: project}
	e.object = &object{
		file:    &e.File,
		bucket:  jobBucket,
		key:     func() string { return e.project + "/" + e.Name + "/" + e.filename() },
		tally:   c.counts.Jobs,
		tallied: project + "/" + j.Name,
	}
	e.object.store(now)
	c.export(e)
	return e
}

// filename is the last element of the file's key.
func (e *entry) filename() string {
	return cmp.Or(e.File.Name, e.Name+e.File.extension())
}

// export makes what the job is to write, for one that has a bucket.
func (c *Cloud) export(e *entry) {
	e.exports, e.written = nil, false
	if e.Bucket == "" {
		return
	}
	files := e.Files
	if files == nil {
		files = []File{e.File}
	}
	for i, f := range files {
		name := e.Name
		if len(files) > 1 {
			name = fmt.Sprint(name, "-", i+1)
		}
		key := e.Prefix + cmp.Or(f.Name, name+f.extension())
		e.exports = append(e.exports, c.newObject(e.Bucket, key, f))
	}
}

// write puts the job's files in its bucket, once.
func (c *Cloud) write(e *entry) {
	if e.written {
		return
	}
	e.written = true
	for _, o := range e.exports {
		o.date(c.options.Now())
		c.bucket(e.Bucket).put(o)
	}
}

// changed starts anew what is not as it was.
func (c *Cloud) changed(e *entry, old Job) {
	restart(slices.Equal(old.Statuses, e.Statuses), &e.gets)
	restart(old.Throttles == e.Throttles, &e.throttled)
	restart(old.Unavailable == e.Unavailable, &e.unavailable)
	e.object.changed(old.File)
	was := []any{old.Statuses, old.Bucket, old.Prefix, old.File, old.Files}
	if !reflect.DeepEqual(was, []any{e.Statuses, e.Bucket, e.Prefix, e.File, e.Files}) {
		c.export(e)
	}
}
