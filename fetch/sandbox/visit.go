package sandbox

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// A visit is a request of the store, and what it is for.
type visit struct {
	*http.Request
	bucket, key string
	query       url.Values
	obs         bool // by a signature of OBS, which is told what OBS would tell
}

// visit reads where a request goes: to the bucket that is the first label of
// its host, if there is such a bucket or the rest is the vendor's, else to that
// of its path.
func (c *Cloud) visit(r *http.Request) visit {
	v := visit{Request: r, query: r.URL.Query()}
	path := strings.TrimPrefix(r.URL.Path, "/")
	c.mu.Lock()
	defer c.mu.Unlock()
	label, rest := splitHost(r.Host)
	if label != "" && (c.buckets[label] != nil || strings.HasPrefix(rest, "oss-") || strings.HasPrefix(rest, "obs.")) {
		v.bucket, v.key = label, path
	} else {
		v.bucket, v.key, _ = strings.Cut(path, "/")
	}
	return v
}

// resource is how V1 signs what a visit is for.
func (v visit) resource() string {
	if v.bucket == "" {
		return "/"
	}
	return "/" + v.bucket + "/" + v.key
}

// An admission is what a visitor may see, as found by who signed.
type admission struct {
	customer bool  // its own buckets; else the files of jobs and orders
	expires  int64 // of the URL; 0 = signed in a header
}

// errand is the operation that a visit asks for, by the vendor's name.
func (v visit) errand() string {
	if slices.ContainsFunc(subresources, func(name string) bool { return v.query.Has(name) && isOperation(name) }) {
		return unknownCall
	}
	switch {
	case v.bucket == "":
		return unknownCall
	case v.key == "" && v.Method == http.MethodGet && v.query.Get("list-type") == "2":
		return "ListObjectsV2"
	case v.key == "" && v.Method == http.MethodGet:
		return "ListObjects"
	case v.key != "" && v.Method == http.MethodGet:
		return "GetObject"
	case v.key != "" && v.Method == http.MethodHead && v.query.Has("objectMeta"):
		return "GetObjectMeta"
	case v.key != "" && v.Method == http.MethodHead:
		return "HeadObject"
	}
	return unknownCall
}

func (c *Cloud) serveStore(w http.ResponseWriter, r *http.Request) {
	v := c.visit(r)
	w.Header().Set("x-oss-request-id", requestID())
	w.Header().Set("x-oss-server-time", "1")
	if v.key != "" {
		c.countRequest()
	}
	if v.Header.Get("Authorization") != "" {
		c.countCall(v.errand())
	}
	send, bad := c.receive(v)
	if bad != nil {
		c.countRefusal(bad.code)
		bad.writeXML(w, r)
		return
	}
	send(w)
}

// receive lets a visit in and decides, in one piece, what becomes of it. The
// answer is sent without the lock.
func (c *Cloud) receive(v visit) (func(http.ResponseWriter), *refusal) {
	in, bad := c.admit(v)
	if bad != nil {
		return nil, bad
	}
	if in.customer == isOwn(v.bucket) {
		return nil, noRight()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch v.errand() {
	case "ListObjectsV2":
		return c.list(v, listV2)
	case "ListObjects":
		return c.list(v, listV1)
	case "GetObject":
		return c.getObject(v, in)
	case "HeadObject", "GetObjectMeta":
		return c.headObject(v)
	}
	if v.Method != http.MethodGet {
		return nil, refuse(http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed against this resource.")
	}
	return nil, refuse(http.StatusNotImplemented, "NotImplemented", "A parameter you provided implies functionality that is not implemented.")
}

func noRight() *refusal {
	return refuse(http.StatusForbidden, "AccessDenied", "You have no right to access this object because of bucket acl.").numbered("0003-00000001")
}
