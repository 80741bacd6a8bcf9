package sandbox

import (
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// storeKeyID is the cloud's own key, which signs the URLs that it gives.
const storeKeyID = "SANDBOXSTORE"

// JobURL gives a fresh signed URL of a job's file, as a console would, on the
// origin "http://HOST:PORT". It is "" if there is no such job.
func (c *Cloud) JobURL(origin, project, job string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.projects[project][job]
	if e == nil {
		return ""
	}
	return c.freshURL(e.object, origin)
}

// freshURL gives a URL of o that no other call was given: two within one
// second differ by Expires.
func (c *Cloud) freshURL(o *object, origin string) string {
	o.expires = max(c.options.Now().Add(c.options.URLLifetime).Unix(), o.expires+1)
	return c.lastURL(o, origin)
}

// lastURL gives the one given last.
func (c *Cloud) lastURL(o *object, origin string) string {
	if o.expires == 0 {
		return c.freshURL(o, origin)
	}
	path := "/" + o.bucket + "/" + o.key()
	expires := strconv.FormatInt(o.expires, 10)
	query := url.Values{
		"Expires":        {expires},
		"OSSAccessKeyId": {storeKeyID},
		"Signature":      {signStore(c.storeKey, storeText(http.MethodGet, expires, path, nil, nil))},
	}
	return origin + (&url.URL{Path: path, RawQuery: query.Encode()}).String()
}

// admit finds who signed a request of the store, in a header or in its URL.
func (c *Cloud) admit(v visit) (admission, *refusal) {
	authorization := v.Header.Get("Authorization")
	switch {
	case authorization == "":
		return c.admitURL(v)
	case v.query.Has("Signature"):
		return admission{}, refuse(http.StatusBadRequest, "InvalidArgument", "Only one auth mechanism allowed: the Signature query string parameter or the Authorization header.")
	}
	return admission{customer: true}, c.judgeVisit(v, authorization)
}

// admitURL finds a signed URL good. Like the store, it looks at the time
// before the signature.
func (c *Cloud) admitURL(v visit) (admission, *refusal) {
	if bad := checkSigned(v.query); bad != nil {
		return admission{}, bad
	}
	expires, err := strconv.ParseInt(v.query.Get("Expires"), 10, 64)
	if err != nil {
		return admission{}, refuse(http.StatusForbidden, "AccessDenied", "Invalid date (should be seconds since epoch): %s", v.query.Get("Expires"))
	}
	now := c.options.Now()
	if now.Unix() > expires {
		return admission{}, expired(time.Unix(expires, 0), now)
	}
	customer, bad := c.checkSignature(v)
	return admission{customer, expires}, bad
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
		return noRight()
	case 3:
		return nil
	}
	return refuse(http.StatusForbidden, "AccessDenied", "Query-string authentication requires the Signature, Expires and OSSAccessKeyId parameters.")
}

// checkSignature says also whether it was the customer who signed.
func (c *Cloud) checkSignature(v visit) (customer bool, bad *refusal) {
	id, key := v.query.Get("OSSAccessKeyId"), c.storeKey
	if id == c.options.AccessKeyID {
		customer, key = true, c.options.AccessKeySecret
	} else if id != storeKeyID {
		return false, noKey(id)
	}
	if customer && !equal(v.query.Get("security-token"), c.options.SecurityToken) {
		return false, wrongStoreToken()
	}
	claim := claim{id: id, signature: v.query.Get("Signature"), text: storeText(v.Method, v.query.Get("Expires"), v.resource(), v.Header, v.query)}
	if !equal(claim.signature, signStore(key, claim.text)) {
		return false, noMatch(claim)
	}
	return customer, nil
}

const storeTime = "2006-01-02T15:04:05.000Z"

func expired(expires, now time.Time) *refusal {
	return refuse(http.StatusForbidden, "AccessDenied", "Request has expired.").
		with("Expires", expires.UTC().Format(storeTime)).
		with("ServerTime", now.UTC().Format(storeTime)).numbered("0002-00000069")
}
