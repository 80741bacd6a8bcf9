package sandbox

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"encoding/xml"
	"net/http"
	"net/url"
	"strings"

	"tallyman/fetch/sandbox/internal/apierr"
	"tallyman/fetch/sandbox/internal/sign"
)

// The buckets of the cloud's own, for the files that are given by URL alone.
const (
	jobBucket   = "sls-downloads"
	orderBucket = "dms-downloads"
	taskBucket  = "dbs-downloads"
)

func isCloudBucket(bucket string) bool {
	return bucket == jobBucket || bucket == orderBucket || bucket == taskBucket
}

// A storeRequest is a request of the store, as OSS or as OBS.
type storeRequest struct {
	*http.Request
	sign.Target
	query  url.Values
	obs    bool
	prefix string // of the vendor's headers in the answer: "x-oss-", "x-obs-", or "x-amz-" as in the request
}

// storeRequest reads where a request goes: to the bucket that is the first
// label of its host, if there is such a bucket or the rest is the vendor's, else
// to that of its path. It is one of OBS if it is signed so or has OBS's host.
func (c *Cloud) storeRequest(r *http.Request) storeRequest {
	s := storeRequest{Request: r, query: r.URL.Query(), prefix: "x-oss-"}
	if prefix := sign.OBSPrefix(r); prefix != "" || strings.Contains("."+r.Host, ".obs.") {
		s.obs, s.prefix = true, cmp.Or(prefix, "x-obs-")
	}
	path := strings.TrimPrefix(r.URL.Path, "/")
	c.mu.Lock()
	defer c.mu.Unlock()
	label, rest := splitHost(r.Host)
	if label != "" && (c.buckets[label] != nil || strings.HasPrefix(rest, "oss-") || strings.HasPrefix(rest, "obs.")) {
		s.Bucket, s.Key = label, path
	} else {
		s.Bucket, s.Key, _ = strings.Cut(path, "/")
	}
	if b := c.buckets[s.Bucket]; b != nil {
		s.Region = b.Region
	}
	return s
}

// operation returns the vendor's name of the operation that is asked for.
func (r storeRequest) operation() string {
	switch {
	case sign.NamesOperation(r.query, r.obs), r.Bucket == "":
		return unknownOperation
	case r.Key == "" && r.Method == http.MethodGet && r.query.Get("list-type") == "2" && !r.obs:
		return "ListObjectsV2"
	case r.Key == "" && r.Method == http.MethodGet:
		return "ListObjects"
	case r.Key != "" && r.Method == http.MethodGet:
		return "GetObject"
	case r.Key != "" && r.Method == http.MethodHead && r.query.Has("objectMeta"):
		return "GetObjectMeta"
	case r.Key != "" && r.Method == http.MethodHead:
		return "HeadObject"
	}
	return unknownOperation
}

// serveStore writes an answer to HEAD without a body. An error of OSS is then in
// the header x-oss-err, and one of OBS nowhere.
func (c *Cloud) serveStore(w http.ResponseWriter, r *http.Request) {
	s := c.storeRequest(r)
	w.Header().Set(s.prefix+"request-id", rand.Text()[:24])
	if !s.obs {
		w.Header().Set("x-oss-server-time", "1")
	}
	c.count(func(n *Counts) {
		if s.Key != "" {
			n.Requests++
		}
		if s.obs || s.Header.Get("Authorization") != "" {
			n.Calls[s.operation()]++
		}
	})
	send, bad := c.answerStore(s)
	if bad == nil {
		send(w)
		return
	}
	if bad.Status == http.StatusNotModified {
		c.count(func(n *Counts) { n.Refused[bad.Code]++ })
		w.WriteHeader(bad.Status)
		return
	}
	body := xmlError{Code: bad.Code, Message: bad.Message, RequestID: w.Header().Get(s.prefix + "request-id"), HostID: r.Host, Details: bad.Details}
	if s.obs {
		body.Resource = r.URL.Path
	} else {
		body.EC = bad.EC
	}
	text := bytes.NewBufferString(xml.Header)
	xml.NewEncoder(text).Encode(body)
	if body.EC != "" {
		w.Header().Set("x-oss-ec", body.EC)
	}
	if !s.obs && r.Method == http.MethodHead {
		w.Header().Set("x-oss-err", base64.StdEncoding.EncodeToString(text.Bytes()))
	}
	c.writeErrorHeader(w, bad, "application/xml")
	w.Write(text.Bytes())
}

// access checks the signature of a request, and whether its signer may read the
// bucket. Of OBS it also redirects to the endpoint of a bucket that is elsewhere.
func (c *Cloud) access(r storeRequest) (access sign.Access, bad *apierr.Error) {
	if r.obs {
		access, bad = sign.Access{Customer: true}, c.account.CheckOBS(r.Request, r.Target, c.options.Now())
	} else {
		access, bad = c.account.CheckOSS(r.Request, r.Target, c.options.Now())
	}
	if bad != nil {
		return access, bad
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	bucket := c.buckets[r.Bucket]
	switch {
	case r.obs && isCloudBucket(r.Bucket):
		bad = apierr.New(http.StatusForbidden, "AccessDenied", "Access Denied")
	case access.Customer == isCloudBucket(r.Bucket):
		bad = sign.OSSAccessDenied()
	case r.obs && bucket != nil && !bucket.isAt(r.Host):
		bad = apierr.New(http.StatusMovedPermanently, "PermanentRedirect", "This bucket must be accessed through the specified endpoint.").
			WithDetail("Bucket", bucket.name).WithDetail("Endpoint", bucket.name+"."+bucket.Endpoint)
	}
	return access, bad
}

// answerStore decides what the answer is. The caller sends it without the lock.
func (c *Cloud) answerStore(r storeRequest) (send func(http.ResponseWriter), bad *apierr.Error) {
	access, bad := c.access(r)
	if bad != nil {
		return nil, bad
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch operation := r.operation(); {
	case operation == "ListObjectsV2":
		return c.list(r, 2)
	case operation == "ListObjects":
		return c.list(r, 1)
	case operation == "GetObject":
		return c.getObject(r, access)
	case operation == "HeadObject", operation == "GetObjectMeta" && !r.obs:
		return c.headObject(r)
	case r.Method != http.MethodGet:
		return nil, apierr.New(http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed against this resource.")
	case r.obs:
		return nil, apierr.New(http.StatusNotImplemented, "NotImplemented", "A header you provided implies functionality that is not implemented.")
	}
	return nil, apierr.New(http.StatusNotImplemented, "NotImplemented", "A parameter you provided implies functionality that is not implemented.")
}

// object finds the object that a request is for. The key of a file of the
// cloud's own begins with the name of what it belongs to. It needs the lock.
func (c *Cloud) object(r storeRequest) (o *object, bad *apierr.Error) {
	first, rest, _ := strings.Cut(r.Key, "/")
	second, _, _ := strings.Cut(rest, "/")
	switch r.Bucket {
	case jobBucket:
		if s := c.projects[first][second]; s != nil {
			o = s.object
		}
	case orderBucket:
		if s := c.orders[first+"/"+second]; s != nil {
			o = s.object
		}
	case taskBucket:
		if i := c.instances[first]; i != nil && i.tasks[second] != nil {
			o = i.tasks[second].object
		}
	default:
		b, bad := c.customerBucket(r)
		if bad != nil {
			return nil, bad
		}
		o = b.objects[r.Key]
	}
	if o == nil || o.file.Gone || o.key() != r.Key {
		return nil, apierr.New(http.StatusNotFound, "NoSuchKey", "The specified key does not exist.").WithDetail("Key", r.Key).WithEC("0026-00000001")
	}
	return o, nil
}

// An xmlError is an error in the XML of OSS and of OBS.
type xmlError struct {
	XMLName   xml.Name `xml:"Error"`
	Code      string
	Message   string
	RequestID string `xml:"RequestId"`
	HostID    string `xml:"HostId"`
	Resource  string `xml:",omitempty"` // of OBS
	Details   []apierr.Detail
	EC        string `xml:",omitempty"` // of OSS
}
