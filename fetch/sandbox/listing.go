package sandbox

import (
	"encoding/base64"
	"encoding/xml"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"tallyman/fetch/sandbox/internal/apierr"
)

// A keyQuery is which of a bucket's keys a listing asks for.
type keyQuery struct {
	prefix, delimiter string
	after             string // a page begins with what follows this
	max               int    // items in a page
}

// A keyPage is one page of them: keys, and the common prefixes of keys up to
// the delimiter.
type keyPage struct {
	keys, prefixes []string
	last           string // the item that it ends with
	truncated      bool
}

// page returns one page of keys, which are sorted.
func (q keyQuery) page(keys []string) keyPage {
	var p keyPage
	from := sort.SearchStrings(keys, max(q.prefix, q.after))
	for _, key := range keys[from:] {
		rest, ok := strings.CutPrefix(key, q.prefix)
		if !ok {
			break
		}
		item, isPrefix := key, false
		if q.delimiter != "" {
			var directory string
			if directory, _, isPrefix = strings.Cut(rest, q.delimiter); isPrefix {
				item = q.prefix + directory + q.delimiter
			}
		}
		if item <= q.after || item == p.last {
			continue
		}
		if len(p.keys)+len(p.prefixes) == q.max {
			p.truncated = true
			break
		}
		p.last = item
		if isPrefix {
			p.prefixes = append(p.prefixes, item)
		} else {
			p.keys = append(p.keys, item)
		}
	}
	return p
}

const (
	pageSize    = 100 // keys in a page of OSS without max-keys
	maxPageSize = 1000
)

// A listResult is the answer of ListObjects and ListObjectsV2 (ListBucketResult).
// The pointers are in the answer of one of them alone.
type listResult struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	Name                  string
	Prefix                string
	Marker                *string `xml:",omitempty"`
	StartAfter            string  `xml:",omitempty"`
	ContinuationToken     string  `xml:",omitempty"`
	MaxKeys               int
	Delimiter             string
	EncodingType          string `xml:",omitempty"`
	IsTruncated           bool
	NextMarker            string `xml:",omitempty"`
	NextContinuationToken string `xml:",omitempty"`
	Contents              []listedObject
	CommonPrefixes        []commonPrefix
	KeyCount              *int `xml:",omitempty"`
}

type listedObject struct {
	Key          string
	LastModified string
	ETag         verbatim
	Type         string `xml:",omitempty"`
	Size         int
	StorageClass string
	Owner        *owner `xml:",omitempty"`
}

// verbatim is text whose quotes the vendor does not escape: an ETag.
type verbatim struct {
	Text string `xml:",innerxml"`
}

type owner struct{ ID, DisplayName string }

type commonPrefix struct{ Prefix string }

// tokens are made of characters that a client must escape in a query.
var tokens = base64.StdEncoding

// list answers a listing in version 1 or 2 of the API.
func (c *Cloud) list(r storeRequest, version int) (send func(http.ResponseWriter), bad *apierr.Error) {
	b, bad := c.customerBucket(r)
	if bad != nil {
		return nil, bad
	}
	if occurs(b.Busy, &b.busy) {
		return nil, busyError()
	}
	q, bad := r.keyQuery(version)
	if bad != nil {
		return nil, bad
	}
	result := listResult{Name: b.name, EncodingType: r.query.Get("encoding-type"), MaxKeys: q.max}
	encode := func(s string) string { return s }
	if result.EncodingType == "url" {
		encode = func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
	}
	if b.PageSize > 0 {
		q.max = min(q.max, b.PageSize)
	}
	page := q.page(slices.DeleteFunc(slices.Clone(b.keys()), func(key string) bool { return b.objects[key].file.Gone }))
	result.Prefix, result.Delimiter, result.IsTruncated = encode(q.prefix), encode(q.delimiter), page.truncated
	if version == 1 {
		result.Marker = new(encode(q.after))
	} else {
		result.StartAfter, result.ContinuationToken = encode(r.query.Get("start-after")), r.query.Get("continuation-token")
		result.KeyCount = new(len(page.keys) + len(page.prefixes))
	}
	switch {
	case page.truncated && version == 1:
		result.NextMarker = encode(page.last)
	case page.truncated:
		result.NextContinuationToken = encode(strings.ReplaceAll(tokens.EncodeToString([]byte(page.last)), "=", "-"))
	}
	withOwner := version == 1 || r.query.Get("fetch-owner") == "true"
	for _, key := range page.keys {
		result.Contents = append(result.Contents, b.objects[key].listed(encode(key), r.obs, withOwner))
	}
	for _, prefix := range page.prefixes {
		result.CommonPrefixes = append(result.CommonPrefixes, commonPrefix{encode(prefix)})
	}
	return func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/xml")
		w.Write([]byte(xml.Header))
		xml.NewEncoder(w).Encode(result)
	}, nil
}

// keyQuery reads the parameters of a listing.
func (r storeRequest) keyQuery(version int) (keyQuery, *apierr.Error) {
	q := keyQuery{prefix: r.query.Get("prefix"), delimiter: r.query.Get("delimiter"), after: r.query.Get("marker"), max: pageSize}
	if encoding := r.query.Get("encoding-type"); encoding != "" && encoding != "url" {
		return q, invalidArgument("encoding-type", encoding, "Invalid Encoding Method specified in Request.")
	}
	if r.obs && !r.query.Has("max-keys") {
		q.max = maxPageSize
	}
	if text := r.query.Get("max-keys"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxPageSize {
			return q, invalidArgument("max-keys", text, "Argument max-keys must be an integer between 1 and 1000.")
		}
		q.max = n
	}
	if version == 2 {
		token := r.query.Get("continuation-token")
		after, err := tokens.DecodeString(strings.ReplaceAll(token, "-", "="))
		if err != nil {
			return q, invalidArgument("continuation-token", token, "The continuation token provided is incorrect.")
		}
		q.after = max(string(after), r.query.Get("start-after"))
	}
	return q, nil
}

// listed is the object as a listing has it.
func (o *object) listed(key string, obs, withOwner bool) listedObject {
	v := o.version(obs)
	l := listedObject{
		Key:          key,
		LastModified: v.modified.UTC().Truncate(time.Second).Format("2006-01-02T15:04:05.000Z"),
		ETag:         verbatim{`"` + v.etag + `"`},
		Type:         v.objectType,
		Size:         len(v.body),
		StorageClass: o.file.storageClass(),
	}
	if obs {
		l.StorageClass = obsClasses[l.StorageClass]
	}
	if withOwner {
		l.Owner = &owner{"0022012****", "sandbox"}
	}
	return l
}

func invalidArgument(name, value, message string) *apierr.Error {
	return apierr.New(http.StatusBadRequest, "InvalidArgument", "%s", message).WithDetail("ArgumentName", name).WithDetail("ArgumentValue", value)
}
