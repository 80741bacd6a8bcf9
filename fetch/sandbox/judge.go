package sandbox

import (
	"crypto/hmac"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// skew is how far a request's clock may be from the cloud's.
const skew = 15 * time.Minute

// A claim is what a request's Authorization says, in either scheme.
type claim struct {
	id        string
	signature string
	date      time.Time
	sound     bool                       // the body is the one that was signed, for a scope that is one
	sign      func(secret string) string // the signature as it should be
}

type reader func(r *http.Request, body []byte, credentials string) (claim, *refusal)

// schemes are known by how the Authorization header begins.
var schemes = map[string]reader{
	"LOG":              readLog,
	"SLS4-HMAC-SHA256": readSLS4,
}

func scheme(r *http.Request) reader {
	word, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return schemes[word]
}

// judge finds a request good, or says what the vendor says against it.
func (c *Cloud) judge(r *http.Request, body []byte) *refusal {
	if bad := checkHeaders(r, body); bad != nil {
		return bad
	}
	read := scheme(r)
	if read == nil {
		return refuse(http.StatusBadRequest, "MissAccessKeyId", "x-log-accesskeyid does not exist in header.")
	}
	_, credentials, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	claim, bad := read(r, body, credentials)
	if bad != nil {
		return bad
	}
	return c.verify(claim, r.Header.Get("x-acs-security-token"))
}

func (c *Cloud) verify(claim claim, token string) *refusal {
	now := c.options.Now()
	switch {
	case claim.date.Before(now.Add(-skew)), claim.date.After(now.Add(skew)):
		return refuse(http.StatusBadRequest, "RequestTimeExpired", "Request time exceeds server time more than 15 minutes.")
	case claim.id != c.options.AccessKeyID:
		return refuse(http.StatusUnauthorized, "Unauthorized", "AccessKeyId not found: %s", claim.id)
	case !equal(token, c.options.SecurityToken):
		return refuse(http.StatusUnauthorized, "Unauthorized", "The security token you provided is invalid.")
	case !claim.sound, !equal(claim.signature, claim.sign(c.options.AccessKeySecret)):
		return refuse(http.StatusUnauthorized, "SignatureNotMatch", "Signature %s is not matched.", claim.signature)
	}
	return nil
}

func equal(a, b string) bool {
	return hmac.Equal([]byte(a), []byte(b))
}

// checkHeaders checks what both schemes ask of every request.
func checkHeaders(r *http.Request, body []byte) *refusal {
	version, size := r.Header.Get("x-log-apiversion"), r.Header.Get("x-log-bodyrawsize")
	for _, rule := range []struct {
		broken        bool
		code, message string
	}{
		{version == "", "MissingAPIVersion", "x-log-apiversion does not exist in http header."},
		{version != "0.6.0", "InvalidAPIVersion", "x-log-apiversion " + version + " is unsupported."},
		{len(body) > 0 && r.Header.Get("Content-Type") == "", "MissingContentType", "Content-Type does not exist in http header when body is not empty."},
		{len(body) > 0 && size == "", "MissingBodyRawSize", "x-log-bodyrawsize does not exist in header when it is necessary."},
		{size != "" && size != strconv.Itoa(len(body)), "InvalidBodyRawSize", "x-log-bodyrawsize is invalid."},
	} {
		if rule.broken {
			return refuse(http.StatusBadRequest, rule.code, "%s", rule.message)
		}
	}
	return nil
}

// readDate reads a date in one of these layouts.
func readDate(text string, layouts ...string) (time.Time, *refusal) {
	if text == "" {
		return time.Time{}, refuse(http.StatusBadRequest, "MissingDate", "Date does not exist in http header.")
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, refuse(http.StatusBadRequest, "InvalidDateFormat", "Date %s must follow RFC822.", text)
}
