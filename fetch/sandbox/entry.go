package sandbox

import (
	"cmp"
	"slices"
	"time"
)

// An entry is a job with what has happened to it so far.
type entry struct {
	Job
	project string
	number  int // the order of adding: newer jobs of one second are listed first

	gets        int // told a status
	throttled   int
	unavailable int

	expires int64 // Expires of the URL given last
	uses    map[int64]*use
	spent   spent
	served  int // requests for the file that were let in

	first, second stored // the object, and what it is replaced by
}

// A use is what one URL, known by its Expires, has served.
type use struct {
	requests int
	bytes    int64
}

// spent is how often each counted fault has struck.
type spent struct{ flips, cuts, stalls, busy int }

func (c *Cloud) newEntry(project string, j Job) *entry {
	now := c.options.Now()
	if j.CreateTime.IsZero() {
		j.CreateTime = now
	}
	j.Statuses = slices.Clone(j.Statuses)
	e := &entry{Job: j, project: project, uses: map[int64]*use{}}
	e.store(now)
	return e
}

func (e *entry) store(now time.Time) {
	e.first = keep(e.File.wire(), e.File.Faults.MultipartETag, now)
	e.second = keep(e.File.Faults.Replace.Body, e.File.Faults.MultipartETag, now.Add(time.Second))
}

// object is what the n-th request for the file finds, from 0.
func (e *entry) object(n int) stored {
	r := e.File.Faults.Replace
	if r.Body != nil && n >= r.After {
		return e.second
	}
	return e.first
}

// filename is the last element of the file's key.
func (e *entry) filename() string {
	return cmp.Or(e.File.Name, e.Name+e.File.extension())
}

func (e *entry) use(expires int64) *use {
	if e.uses[expires] == nil {
		e.uses[expires] = &use{}
	}
	return e.uses[expires]
}

// changed starts anew what is not as it was.
func (e *entry) changed(old Job) {
	was, is := old.File.Faults, e.File.Faults
	for _, count := range []struct {
		same bool
		of   *int
	}{
		{slices.Equal(old.Statuses, e.Statuses), &e.gets},
		{old.Throttles == e.Throttles, &e.throttled},
		{old.Unavailable == e.Unavailable, &e.unavailable},
		{was.Flip == is.Flip, &e.spent.flips},
		{was.Cut == is.Cut, &e.spent.cuts},
		{was.Stall == is.Stall, &e.spent.stalls},
		{was.Busy == is.Busy, &e.spent.busy},
		{sameBody(was.Replace.Body, is.Replace.Body) && was.Replace.After == is.Replace.After, &e.served},
	} {
		if !count.same {
			*count.of = 0
		}
	}
	if was.ExpireAfter != is.ExpireAfter {
		clear(e.uses)
	}
	if !old.File.sameObject(e.File) {
		e.store(e.first.modified.Add(time.Second))
	}
}

// strike reports whether a fault that is to happen times times (-1 = always)
// happens once more, and counts it.
func strike(times int, count *int) bool {
	if times >= 0 && *count >= times {
		return false
	}
	*count++
	return true
}
