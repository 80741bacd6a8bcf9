package sandbox

import (
	"bytes"
	"cmp"
	"crypto/md5"
	"encoding/xml"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// isOBS reports whether a request is one of OBS: by how it is signed, or by
// the vendor's host.
func isOBS(r *http.Request) bool {
	word, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return obsSchemes[word].read != nil || strings.Contains("."+r.Host, ".obs.")
}

// obsPrefix is how the headers of an answer begin: as those of its request.
func obsPrefix(r *http.Request) string {
	word, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return cmp.Or(obsSchemes[word].prefix, "x-obs-")
}

func (c *Cloud) serveOBS(w http.ResponseWriter, r *http.Request) {
	v := c.visit(r)
	v.obs = true
	w.Header().Set(obsPrefix(r)+"request-id", requestID())
	if v.key != "" {
		c.countRequest()
	}
	c.countCall(v.obsErrand())
	send, bad := c.receiveOBS(v)
	if bad != nil {
		c.countRefusal(bad.code)
		bad.writeOBS(w, r)
		return
	}
	send(w)
}

// obsErrand is the operation that a visit asks for. OBS has one way to list.
func (v visit) obsErrand() string {
	if slices.ContainsFunc(obsSubresources, func(name string) bool { return v.query.Has(name) && isOperation(name) }) {
		return unknownCall
	}
	if errand := v.errand(); errand != "ListObjectsV2" {
		return errand
	}
	return "ListObjects"
}

// receiveOBS lets a visit in and decides, in one piece, what becomes of it.
// The answer is sent without the lock.
func (c *Cloud) receiveOBS(v visit) (func(http.ResponseWriter), *refusal) {
	if bad := c.judgeOBS(v); bad != nil {
		return nil, bad
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if bad := c.elsewhere(v); bad != nil {
		return nil, bad
	}
	switch v.obsErrand() {
	case "ListObjects":
		if !v.query.Has("max-keys") {
			v.query.Set("max-keys", strconv.Itoa(mostPage))
		}
		return c.list(v, listV1)
	case "GetObject":
		return c.getObject(v, admission{customer: true})
	case "HeadObject":
		return c.headObject(v)
	}
	if v.Method != http.MethodGet {
		return nil, refuse(http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed against this resource.")
	}
	return nil, refuse(http.StatusNotImplemented, "NotImplemented", "A header you provided implies functionality that is not implemented.")
}

// elsewhere refuses what is not the customer's, and leads a visit to the
// endpoint that its bucket must be asked at.
func (c *Cloud) elsewhere(v visit) *refusal {
	if isOwn(v.bucket) {
		return refuse(http.StatusForbidden, "AccessDenied", "Access Denied")
	}
	b := c.buckets[v.bucket]
	if b == nil || b.answers(v.Host) == nil {
		return nil
	}
	return refuse(http.StatusMovedPermanently, "PermanentRedirect", "This bucket must be accessed through the specified endpoint.").
		with("Bucket", b.name).with("Endpoint", b.name+"."+b.Endpoint)
}

// sees is an object as the cloud of a visit has it: OBS has another ETag.
func (v visit) sees(o *object) stored {
	s := o.now()
	if v.obs {
		s.etag, s.kind = s.obsETag(*o.file), ""
	}
	return s
}

// obsETag is lower-case, hashes the parts' MD5s as bytes, and is no hash of
// the object if that is encrypted.
func (s stored) obsETag(f File) string {
	etag := strings.ToLower(s.etag)
	if f.Faults.MultipartETag > 0 {
		var sums []byte
		for part := range slices.Chunk(s.body, int(f.Faults.MultipartETag)) {
			sum := md5.Sum(part)
			sums = append(sums, sum[:]...)
		}
		_, count, _ := strings.Cut(etag, "-")
		etag = fmt.Sprintf("%x-%s", md5.Sum(sums), count)
	}
	if f.Encryption != "" {
		etag = fmt.Sprintf("%x", md5.Sum([]byte(f.Encryption+etag)))
	}
	return etag
}

// obsClasses are the storage classes as OBS calls them.
var obsClasses = map[string]string{"Standard": "STANDARD", "IA": "WARM", "Archive": "COLD", "ColdArchive": "DEEP_ARCHIVE", "DeepColdArchive": "DEEP_ARCHIVE"}

func (v visit) storageClass(f File) string {
	if v.obs {
		return obsClasses[f.storageClass()]
	}
	return f.storageClass()
}

// unrestored refuses the bytes of an object that is archived.
func (v visit) unrestored(o *object) *refusal {
	if v.obs {
		return refuse(http.StatusForbidden, "InvalidObjectState", "The operation is not valid for the object's storage class.")
	}
	return refuse(http.StatusForbidden, "InvalidObjectState", "The operation is not valid for the object's state").
		with("ObjectName", o.key()).numbered("0016-00000404")
}

// headers are how the cloud of a visit tells of an object that it delivers.
func (v visit) headers() func(*delivery, http.Header) {
	if !v.obs {
		return (*delivery).header
	}
	prefix := obsPrefix(v.Request)
	return func(d *delivery, h http.Header) { d.obsHeader(h, prefix) }
}

func (d *delivery) obsHeader(h http.Header, prefix string) {
	d.header(h)
	crc := h.Get("x-oss-hash-crc64ecma")
	h.Del("Content-MD5") // told only where the uploader had it stored
	for name := range h {
		if strings.HasPrefix(name, "X-Oss-") {
			h.Del(name)
		}
	}
	for name, value := range map[string]string{
		"checksum-crc64ecma": crc, "storage-class": strings.TrimPrefix(obsClasses[d.file.storageClass()], "STANDARD"),
		"server-side-encryption": d.file.Encryption,
	} {
		if value != "" {
			h.Set(prefix+name, value)
		}
	}
}

// writeOBS writes it as OBS does, which tells nothing in answer to HEAD.
func (e *refusal) writeOBS(w http.ResponseWriter, r *http.Request) {
	if e.status == http.StatusNotModified {
		w.WriteHeader(e.status)
		return
	}
	var text bytes.Buffer
	text.WriteString(xml.Header)
	xml.NewEncoder(&text).Encode(struct {
		XMLName   xml.Name `xml:"Error"`
		Code      string
		Message   string
		RequestID string `xml:"RequestId"`
		HostID    string `xml:"HostId"`
		Resource  string
		Extra     []element
	}{Code: e.code, Message: e.message, RequestID: w.Header().Get(obsPrefix(r) + "request-id"), HostID: r.Host, Resource: r.URL.Path, Extra: e.extra})
	e.header(w, "application/xml")
	w.Write(text.Bytes())
}
