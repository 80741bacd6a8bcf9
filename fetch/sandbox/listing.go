package sandbox

import (
	"net/http"
	"sort"
	"strconv"
	"strings"
)

// A question is which part of a bucket's keys is wanted.
type question struct {
	prefix, delimiter string
	after             string // begin with what follows this
	most              int
}

// A page is what there is of it: keys, and what several have in common up to
// the delimiter.
type page struct {
	keys, prefixes []string
	last           string // the item that it ends with
	truncated      bool
}

// read finds a page among keys, which are in order.
func (q question) read(keys []string) page {
	var p page
	from := sort.SearchStrings(keys, max(q.prefix, q.after))
	for _, key := range keys[from:] {
		if !strings.HasPrefix(key, q.prefix) {
			break
		}
		item, rolled := q.roll(key)
		if item <= q.after || item == p.last {
			continue
		}
		if len(p.keys)+len(p.prefixes) == q.most {
			p.truncated = true
			break
		}
		p.last = item
		if rolled {
			p.prefixes = append(p.prefixes, item)
		} else {
			p.keys = append(p.keys, item)
		}
	}
	return p
}

// roll is the key itself, or what it has in common with others.
func (q question) roll(key string) (item string, rolled bool) {
	if q.delimiter == "" {
		return key, false
	}
	rest := key[len(q.prefix):]
	i := strings.Index(rest, q.delimiter)
	if i < 0 {
		return key, false
	}
	return key[:len(q.prefix)+i+len(q.delimiter)], true
}

// How many keys a page has where it is not told, and the most.
const (
	pageSize = 100
	mostPage = 1000
)

// lister makes an answer of what a listing found, in one of its two versions.
type lister struct {
	after func(v visit) (string, *refusal)
	tell  func(v visit, found listed, p page) listed
}

var (
	listV1 = lister{markerOf, tellV1}
	listV2 = lister{tokenOf, tellV2}
)

func (c *Cloud) list(v visit, l lister) (func(http.ResponseWriter), *refusal) {
	b, bad := c.opened(v)
	if bad != nil {
		return nil, bad
	}
	if strike(b.Busy, &b.busy) {
		return nil, busy()
	}
	if kind := v.query.Get("encoding-type"); kind != "" && kind != "url" {
		return nil, invalid("encoding-type", kind, "Invalid Encoding Method specified in Request.")
	}
	q := question{prefix: v.query.Get("prefix"), delimiter: v.query.Get("delimiter")}
	asked, bad := pageOf(v)
	if bad != nil {
		return nil, bad
	}
	if q.after, bad = l.after(v); bad != nil {
		return nil, bad
	}
	q.most = asked
	if b.PageSize > 0 {
		q.most = min(asked, b.PageSize)
	}
	p := q.read(b.present())
	found := b.listed(v, p)
	found.MaxKeys = asked
	found = l.tell(v, found, p)
	return found.send, nil
}

// present are the keys of what is there.
func (b *bucketState) present() []string {
	var keys []string
	for _, key := range b.sorted() {
		if !b.objects[key].file.Gone {
			keys = append(keys, key)
		}
	}
	return keys
}

func pageOf(v visit) (int, *refusal) {
	text := v.query.Get("max-keys")
	if text == "" {
		return pageSize, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > mostPage {
		return 0, invalid("max-keys", text, "Argument max-keys must be an integer between 1 and 1000.")
	}
	return n, nil
}

func invalid(name, value, message string) *refusal {
	return refuse(http.StatusBadRequest, "InvalidArgument", "%s", message).with("ArgumentName", name).with("ArgumentValue", value)
}
