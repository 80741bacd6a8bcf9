package sandbox

import (
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"hash/crc64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"tallyman/fetch/sandbox/internal/apierr"
)

// An object is a file in the store, with what has happened to it so far.
type object struct {
	file   *File // of its owner, which may change it
	bucket string
	key    func() string

	counts    map[string]ItemCounts // where it is counted, and under which name
	countName string

	expires int64             // Expires of the latest URL
	urls    map[int64]*urlUse // by Expires
	faults  faultCounts
	served  int // requests that were answered with bytes

	first, second objectVersion // what it is, and what Replace makes of it
}

// A urlUse is what one URL has served.
type urlUse struct {
	requests int
	bytes    int64
}

func (c *Cloud) newObject(bucket, key string, f File) *object {
	o := &object{
		file:      &f,
		bucket:    bucket,
		key:       func() string { return key },
		counts:    c.counts.Objects,
		countName: bucket + "/" + key,
	}
	o.store(c.options.Now())
	return o
}

// store makes the versions of the file as it is now. They have the time then,
// unless the file has one of its own.
func (o *object) store(then time.Time) {
	f := o.file
	body := f.Body
	if body == nil {
		body = Compress(f.codec(), Generate(f.Rows, f.format(), f.Seed))
	}
	o.first = newVersion(body, f.Faults.MultipartETag)
	if f.Faults.Replace.Body != nil {
		o.second = newVersion(f.Faults.Replace.Body, f.Faults.MultipartETag)
	}
	o.date(then)
}

func (o *object) date(then time.Time) {
	if !o.file.LastModified.IsZero() {
		then = o.file.LastModified
	}
	o.first.modified, o.second.modified = then, then.Add(time.Second)
}

// version is what the next request finds. OBS has another ETag, and no type.
func (o *object) version(obs bool) objectVersion {
	v := o.first
	if r := o.file.Faults.Replace; r.Body != nil && o.served >= r.After {
		v = o.second
	}
	if obs {
		v.etag, v.objectType = v.obsETag(*o.file), ""
	}
	return v
}

// fileChanged resets the counts of the settings that have changed, and makes
// new versions if the bytes, the ETag or the time have.
func (o *object) fileChanged(old File) {
	before, now := old.Faults, o.file.Faults
	resetUnless(before.Flip == now.Flip, &o.faults.flips)
	resetUnless(before.Cut == now.Cut, &o.faults.cuts)
	resetUnless(before.Stall == now.Stall, &o.faults.stalls)
	resetUnless(before.Busy == now.Busy, &o.faults.busy)
	resetUnless(sameBody(before.Replace.Body, now.Replace.Body) && before.Replace.After == now.Replace.After, &o.served)
	if before.ExpireAfter != now.ExpireAfter {
		clear(o.urls)
	}
	f := o.file
	if f.Rows != old.Rows || f.format() != old.format() || f.codec() != old.codec() || f.Seed != old.Seed || !sameBody(f.Body, old.Body) ||
		now.MultipartETag != before.MultipartETag || !f.LastModified.Equal(old.LastModified) || !sameBody(now.Replace.Body, before.Replace.Body) {
		o.store(o.first.modified.Add(time.Second))
	}
}

// newURL returns a signed URL of o that was not given before: two of one second
// differ in Expires. It needs the lock.
func (c *Cloud) newURL(o *object, origin string) string {
	o.expires = max(c.options.Now().Add(c.options.URLLifetime).Unix(), o.expires+1)
	return c.lastURL(o, origin)
}

// lastURL returns the latest URL. It needs the lock.
func (c *Cloud) lastURL(o *object, origin string) string {
	if o.expires == 0 {
		return c.newURL(o, origin)
	}
	path := "/" + o.bucket + "/" + o.key()
	return origin + (&url.URL{Path: path, RawQuery: c.account.SignURL(path, o.expires).Encode()}).String()
}

// An objectVersion is an object's bytes as the store keeps them.
type objectVersion struct {
	body       []byte
	md5        string // base64. "" = uploaded in parts
	crc        uint64
	etag       string // unquoted
	objectType string // x-oss-object-type
	modified   time.Time
}

// newVersion makes a version that was uploaded in one piece, or in parts of
// that size.
func newVersion(body []byte, partSize int64) objectVersion {
	v := objectVersion{body: body, crc: crc64.Checksum(body, crc64.MakeTable(crc64.ECMA))}
	if partSize > 0 {
		var etags []string
		for part := range slices.Chunk(body, int(partSize)) {
			etags = append(etags, fmt.Sprintf("%X", md5.Sum(part)))
		}
		v.objectType, v.etag = "Multipart", etagOfParts(etags...)
		return v
	}
	sum := md5.Sum(body)
	v.objectType, v.etag, v.md5 = "Normal", fmt.Sprintf("%X", sum), base64.StdEncoding.EncodeToString(sum[:])
	return v
}

// etagOfParts hashes the MD5s of the parts as upper-case hex, where S3 hashes
// them as bytes (OSS, CompleteMultipartUpload).
func etagOfParts(etags ...string) string {
	return fmt.Sprintf("%X-%d", md5.Sum([]byte(strings.Join(etags, ""))), max(len(etags), 1))
}

// checkConditions checks the conditions of a request (OSS and OBS, GetObject:
// If-Match and the like). It returns nil if the object is to be sent.
func (v objectVersion) checkConditions(h http.Header) *apierr.Error {
	etagMatches := func(name string) bool {
		return slices.ContainsFunc(strings.Split(h.Get(name), ","), func(given string) bool {
			given = strings.TrimSpace(given)
			return given == "*" || strings.Trim(given, `"`) == v.etag
		})
	}
	modifiedSince := func(name string) bool {
		t, err := http.ParseTime(h.Get(name))
		return err == nil && v.modified.Truncate(time.Second).After(t)
	}
	failed := ""
	switch {
	case h.Get("If-Match") != "" && !etagMatches("If-Match"):
		failed = "If-Match"
	case modifiedSince("If-Unmodified-Since"):
		failed = "If-Unmodified-Since"
	case h.Get("If-None-Match") != "" && etagMatches("If-None-Match"),
		h.Get("If-None-Match") == "" && h.Get("If-Modified-Since") != "" && !modifiedSince("If-Modified-Since"):
		return apierr.New(http.StatusNotModified, "NotModified", "Not Modified")
	default:
		return nil
	}
	return apierr.New(http.StatusPreconditionFailed, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold.").
		WithDetail("Condition", failed).WithEC("0015-00000404")
}
