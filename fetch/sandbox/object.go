package sandbox

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// An object is a file as the store keeps it, with what has happened to it so
// far.
type object struct {
	file   *File // its owner's, who may change it
	bucket string
	key    func() string

	tally   map[string]ItemCounts // where it is counted, and as what
	tallied string

	expires int64 // Expires of the URL given last
	uses    map[int64]*use
	spent   spent
	served  int // requests that were let in

	first, second stored // what it is, and what it is replaced by
}

// A use is what one URL, known by its Expires, has served.
type use struct {
	requests int
	bytes    int64
}

// spent is how often each counted fault has struck.
type spent struct{ flips, cuts, stalls, busy int }

// store keeps the file as it is now, and as made then if it tells no time.
func (o *object) store(then time.Time) {
	o.first = keep(o.file.wire(), o.file.Faults.MultipartETag)
	if o.file.Faults.Replace.Body != nil {
		o.second = keep(o.file.Faults.Replace.Body, o.file.Faults.MultipartETag)
	}
	o.date(then)
}

func (o *object) date(then time.Time) {
	if !o.file.LastModified.IsZero() {
		then = o.file.LastModified
	}
	o.first.modified, o.second.modified = then, then.Add(time.Second)
}

// now is what the next request finds.
func (o *object) now() stored {
	r := o.file.Faults.Replace
	if r.Body != nil && o.served >= r.After {
		return o.second
	}
	return o.first
}

// use is nil for a request that came without a URL of ours.
func (o *object) use(expires int64) *use {
	if expires == 0 {
		return nil
	}
	if o.uses == nil {
		o.uses = map[int64]*use{}
	}
	if o.uses[expires] == nil {
		o.uses[expires] = &use{}
	}
	return o.uses[expires]
}

// changed starts anew what is not as it was.
func (o *object) changed(old File) {
	was, is := old.Faults, o.file.Faults
	restart(was.Flip == is.Flip, &o.spent.flips)
	restart(was.Cut == is.Cut, &o.spent.cuts)
	restart(was.Stall == is.Stall, &o.spent.stalls)
	restart(was.Busy == is.Busy, &o.spent.busy)
	restart(sameBody(was.Replace.Body, is.Replace.Body) && was.Replace.After == is.Replace.After, &o.served)
	if was.ExpireAfter != is.ExpireAfter {
		clear(o.uses)
	}
	if !old.sameObject(*o.file) {
		o.store(o.first.modified.Add(time.Second))
	}
}

func restart(same bool, count *int) {
	if !same {
		*count = 0
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

// check holds an object to the conditions of a request.
func (s stored) check(h http.Header) *refusal {
	etag := func(name string) bool {
		for said := range strings.SplitSeq(h.Get(name), ",") {
			if said = strings.TrimSpace(said); said == "*" || strings.Trim(said, `"`) == s.etag {
				return true
			}
		}
		return false
	}
	since := func(name string) bool {
		t, err := http.ParseTime(h.Get(name))
		return err == nil && s.modified.Truncate(time.Second).After(t)
	}
	switch {
	case h.Get("If-Match") != "" && !etag("If-Match"):
		return unmet("If-Match")
	case since("If-Unmodified-Since"):
		return unmet("If-Unmodified-Since")
	case h.Get("If-None-Match") != "" && etag("If-None-Match"),
		h.Get("If-None-Match") == "" && h.Get("If-Modified-Since") != "" && !since("If-Modified-Since"):
		return refuse(http.StatusNotModified, "NotModified", "Not Modified")
	}
	return nil
}

func unmet(condition string) *refusal {
	return refuse(http.StatusPreconditionFailed, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold.").
		with("Condition", condition).numbered("0015-00000404")
}

// frozen are the storage classes that give nothing until restored.
var frozen = []string{"Archive", "ColdArchive", "DeepColdArchive"}

func (f File) frozen() bool { return slices.Contains(frozen, f.StorageClass) }
