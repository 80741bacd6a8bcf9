package sandbox

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	storeKeyID = "SANDBOXSTORE"
	bucket     = "sls-downloads"
)

// subresources are the query parameters that the store signs.
var subresources = []string{
	"response-cache-control", "response-content-disposition", "response-content-encoding",
	"response-content-language", "response-content-type", "response-expires", "security-token", "x-oss-process",
}

// URL gives a fresh signed URL of a job's file, as a console would, on the
// origin "http://HOST:PORT". It is "" if there is no such job.
func (c *Cloud) URL(origin, project, job string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.jobs(project)[job]
	if e == nil {
		return ""
	}
	return c.freshURL(e, origin)
}

// freshURL gives a URL of e's file that no other GET was given: two within one
// second differ by Expires.
func (c *Cloud) freshURL(e *entry, origin string) string {
	e.expires = max(c.options.Now().Add(c.options.URLLifetime).Unix(), e.expires+1)
	return c.lastURL(e, origin)
}

// lastURL gives the one given last.
func (c *Cloud) lastURL(e *entry, origin string) string {
	if e.expires == 0 {
		return c.freshURL(e, origin)
	}
	path := "/" + bucket + "/" + e.project + "/" + e.Name + "/" + e.filename()
	expires := strconv.FormatInt(e.expires, 10)
	query := url.Values{
		"Expires":        {expires},
		"OSSAccessKeyId": {storeKeyID},
		"Signature":      {c.signURL(storeText(http.MethodGet, expires, path, nil, nil))},
	}
	return origin + (&url.URL{Path: path, RawQuery: query.Encode()}).String()
}

func (c *Cloud) signURL(text string) string {
	return base64.StdEncoding.EncodeToString(mac(sha1.New, []byte(c.storeKey), text))
}

// storeText is the text that the store signs: it binds a URL to its method,
// and every x-oss-* header to the signature.
func storeText(method, expires, path string, h http.Header, query url.Values) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n%s\n%s\n", method, h.Get("Content-MD5"), h.Get("Content-Type"), expires)
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-oss-") {
			fmt.Fprintf(&b, "%s:%s\n", lower, strings.TrimSpace(h.Get(name)))
		}
	}
	b.WriteString(path)
	separator := "?"
	for _, name := range subresources {
		if query.Has(name) {
			b.WriteString(separator + name + "=" + query.Get(name))
			separator = "&"
		}
	}
	return b.String()
}

// admit finds a signed URL good, and returns its Expires. Like the store, it
// looks at the time before the signature.
func (c *Cloud) admit(r *http.Request) (int64, *refusal) {
	query := r.URL.Query()
	if query.Has("Signature") && r.Header.Get("Authorization") != "" {
		return 0, refuse(http.StatusBadRequest, "InvalidArgument", "Only one auth mechanism allowed: the Signature query string parameter or the Authorization header.")
	}
	if bad := checkSigned(query); bad != nil {
		return 0, bad
	}
	expires, err := strconv.ParseInt(query.Get("Expires"), 10, 64)
	if err != nil {
		return 0, refuse(http.StatusForbidden, "AccessDenied", "Invalid date (should be seconds since epoch): %s", query.Get("Expires"))
	}
	now := c.options.Now()
	if now.Unix() > expires {
		return 0, expired(time.Unix(expires, 0), now)
	}
	return expires, c.checkSignature(r, query)
}

func checkSigned(query url.Values) *refusal {
	has := 0
	for _, name := range []string{"Expires", "OSSAccessKeyId", "Signature"} {
		if query.Get(name) != "" {
			has++
		}
	}
	switch has {
	case 0:
		return refuse(http.StatusForbidden, "AccessDenied", "You have no right to access this object because of bucket acl.").numbered("0003-00000001")
	case 3:
		return nil
	}
	return refuse(http.StatusForbidden, "AccessDenied", "Query-string authentication requires the Signature, Expires and OSSAccessKeyId parameters.")
}

func (c *Cloud) checkSignature(r *http.Request, query url.Values) *refusal {
	if id := query.Get("OSSAccessKeyId"); id != storeKeyID {
		return refuse(http.StatusForbidden, "InvalidAccessKeyId", "The OSS Access Key Id you provided does not exist in our records.").with("OSSAccessKeyId", id)
	}
	text := storeText(r.Method, query.Get("Expires"), r.URL.Path, r.Header, query)
	if !equal(query.Get("Signature"), c.signURL(text)) {
		return refuse(http.StatusForbidden, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided. Check your key and signing method.").
			with("SignatureProvided", query.Get("Signature")).with("StringToSign", text).numbered("0002-00000040")
	}
	return nil
}

const storeTime = "2006-01-02T15:04:05.000Z"

func expired(expires, now time.Time) *refusal {
	return refuse(http.StatusForbidden, "AccessDenied", "Request has expired.").
		with("Expires", expires.UTC().Format(storeTime)).
		with("ServerTime", now.UTC().Format(storeTime)).numbered("0002-00000069")
}
