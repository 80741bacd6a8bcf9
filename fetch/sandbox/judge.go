package sandbox

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

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

// judge finds a request of the job API good, or says what the vendor says
// against it.
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
	claim.token = r.Header.Get("x-acs-security-token")
	return c.verify(claim)
}

func (c *Cloud) verify(claim claim) *refusal {
	switch c.weigh(claim) {
	case outOfTime:
		return refuse(http.StatusBadRequest, "RequestTimeExpired", "Request time exceeds server time more than 15 minutes.")
	case unknownKey:
		return refuse(http.StatusUnauthorized, "Unauthorized", "AccessKeyId not found: %s", claim.id)
	case wrongToken:
		return refuse(http.StatusUnauthorized, "Unauthorized", "The security token you provided is invalid.")
	case mismatched:
		return refuse(http.StatusUnauthorized, "SignatureNotMatch", "Signature %s is not matched.", claim.signature)
	}
	return nil
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
