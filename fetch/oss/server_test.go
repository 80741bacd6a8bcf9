package oss

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/crc64"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/fetch/internal/acs"
)

var keys = acs.Keys{AccessKeyID: "LTAIid", AccessKeySecret: "SECRETcanary"}
var sts = acs.Keys{AccessKeyID: "STS.id", AccessKeySecret: "SECRETcanary", SecurityToken: "CAIStokencanary+/=="}

// A server is OSS with the bucket in the path, as far as reading goes. It checks
// signatures.
type server struct {
	*httptest.Server
	keys      acs.Keys
	objects   map[string]*object                            // by key
	unencoded bool                                          // it doesn't encode keys, and doesn't say that it does
	intercept func(http.ResponseWriter, *http.Request) bool // answers in its place, if true

	mu       sync.Mutex
	requests []*http.Request
}

type object struct {
	body     string
	modified time.Time
	header   map[string]string
}

const bucket = "ali-test-bucket"

func serve(t testing.TB, objects map[string]*object) (*server, *Store) {
	s := &server{keys: keys, objects: objects}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s, &Store{Endpoint: s.URL, Keys: acs.Static(keys).Keys, Region: "cn-hangzhou", Client: s.Client()}
}

func (s *server) seen() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r)
	s.mu.Unlock()
	w.Header().Set("x-oss-request-id", "5C06A3B67B8B5A3DA422299D")
	name, key, _ := strings.Cut(r.URL.Path[1:], "/")
	switch {
	case s.intercept != nil && s.intercept(w, r):
	case !s.signed(r, name, key):
		refuse(w, 403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.")
	case name != bucket:
		refuse(w, 404, "NoSuchBucket", "The specified bucket does not exist.")
	case key == "":
		s.list(w, r)
	default:
		s.send(w, r, key)
	}
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message><RequestId>5C06A3B67B8B5A3DA422299D</RequestId></Error>", code, message)
}

// encode escapes as the vendor does before signing.
func encode(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

func mac(h func() hash.Hash, key []byte, text string) []byte {
	m := hmac.New(h, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

// vendorHeaders returns the lines of the headers that a signature covers.
func vendorHeaders(r *http.Request) (lines string) {
	var all []string
	for name, values := range r.Header {
		if name := strings.ToLower(name); strings.HasPrefix(name, "x-oss-") {
			all = append(all, name+":"+strings.TrimSpace(values[0])+"\n")
		}
	}
	slices.Sort(all)
	return strings.Join(all, "")
}

func (s *server) signed(r *http.Request, name, key string) bool {
	if r.Header.Get("x-oss-security-token") != s.keys.SecurityToken {
		return false
	}
	authorization := r.Header.Get("Authorization")
	if strings.HasPrefix(authorization, "OSS ") {
		return authorization == "OSS "+s.keys.AccessKeyID+":"+s.signV1(r, name, key)
	}
	return authorization == s.signV4(r, name, key)
}

func (s *server) signV1(r *http.Request, name, key string) string {
	resource := "/" + name + "/" + key
	if token := r.URL.Query().Get("continuation-token"); token != "" {
		resource += "?continuation-token=" + token
	}
	text := r.Method + "\n\n\n" + r.Header.Get("Date") + "\n" + vendorHeaders(r) + resource
	return base64.StdEncoding.EncodeToString(mac(sha1.New, []byte(s.keys.AccessKeySecret), text))
}

func (s *server) signV4(r *http.Request, name, key string) string {
	date, err := http.ParseTime(r.Header.Get("Date"))
	if err != nil {
		return ""
	}
	var query []string
	for name, values := range r.URL.Query() {
		query = append(query, strings.TrimSuffix(encode(name)+"="+encode(values[0]), "="))
	}
	slices.Sort(query)
	path := strings.ReplaceAll(encode("/"+name+"/"+key), "%2F", "/")
	request := strings.Join([]string{r.Method, path, strings.Join(query, "&"), vendorHeaders(r), "", "UNSIGNED-PAYLOAD"}, "\n")
	sum := sha256.Sum256([]byte(request))
	day := date.Format("20060102")
	scope := day + "/cn-hangzhou/oss/aliyun_v4_request"
	signing := []byte("aliyun_v4" + s.keys.AccessKeySecret)
	for _, part := range strings.Split(scope, "/") {
		signing = mac(sha256.New, signing, part)
	}
	text := "OSS4-HMAC-SHA256\n" + r.Header.Get("Date") + "\n" + scope + "\n" + hex.EncodeToString(sum[:])
	return "OSS4-HMAC-SHA256 Credential=" + s.keys.AccessKeyID + "/" + scope + ",Signature=" + hex.EncodeToString(mac(sha256.New, signing, text))
}

func (o *object) etag() string {
	if tag, ok := o.header["ETag"]; ok {
		return tag
	}
	return fmt.Sprintf(`"%X"`, md5.Sum([]byte(o.body)))
}

func (s *server) list(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	shown, page := encode, "<EncodingType>url</EncodingType>"
	if s.unencoded {
		shown, page = html.EscapeString, ""
	}
	var found []string
	for key := range s.objects {
		if strings.HasPrefix(key, q.Get("prefix")) && "after:"+key > q.Get("continuation-token") {
			found = append(found, key)
		}
	}
	slices.Sort(found)
	if most, _ := strconv.Atoi(q.Get("max-keys")); len(found) > most {
		found = found[:most]
		page += "<IsTruncated>true</IsTruncated><NextContinuationToken>" + shown("after:"+found[most-1]) + "</NextContinuationToken>"
	}
	for _, key := range found {
		o := s.objects[key]
		page += fmt.Sprintf("<Contents><Key>%s</Key><LastModified>%s</LastModified><ETag>%s</ETag><Type>%s</Type><Size>%d</Size></Contents>",
			shown(key), o.modified.UTC().Format("2006-01-02T15:04:05.000Z"), html.EscapeString(o.etag()), cmp.Or(o.header["x-oss-object-type"], "Normal"), len(o.body))
	}
	fmt.Fprintf(w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult><Name>%s</Name>%s</ListBucketResult>", bucket, page)
}

// send answers as OSS does: to a range that reaches beyond the object with the
// whole object, unless the request asks for the standard behaviour.
func (s *server) send(w http.ResponseWriter, r *http.Request, key string) {
	o, ok := s.objects[key]
	if !ok {
		refuse(w, 404, "NoSuchKey", "The specified key does not exist.")
		return
	}
	if tag := r.Header.Get("If-Match"); tag != "" && (tag != o.etag() || strings.HasPrefix(tag, "W/")) {
		refuse(w, 412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
		return
	}
	w.Header().Set("x-oss-hash-crc64ecma", strconv.FormatUint(crc64.Checksum([]byte(o.body), crc64.MakeTable(crc64.ECMA)), 10))
	w.Header().Set("ETag", o.etag())
	w.Header().Set("Content-Type", "application/octet-stream")
	for name, value := range o.header {
		w.Header().Set(name, value)
	}
	var last int
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", new(int), &last); err == nil && last >= len(o.body) && r.Header.Get("x-oss-range-behavior") != "standard" {
		r.Header.Del("Range")
	}
	if o.body == "" && r.Header.Get("Range") != "" {
		refuse(w, 416, "InvalidRange", "The requested range cannot be satisfied")
		return
	}
	r.Header.Del("If-Match")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader([]byte(o.body)))
}

// only returns the one object of a bucket.
func only(t testing.TB, store *Store) fetch.Object {
	t.Helper()
	return fetchtest.Only(t, store.Objects(t.Context(), Selection{Bucket: bucket}))
}
