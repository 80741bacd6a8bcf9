package sign

import (
	"cmp"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"tallyman/fetch/sandbox/internal/apierr"
)

// slsSchemes are known by how the Authorization header begins.
var slsSchemes = map[string]func(r *http.Request, body []byte, authorization string) (credentials, *apierr.Error){
	"LOG":              readLOG,
	"SLS4-HMAC-SHA256": readSLS4,
}

// IsSLS reports whether a request is signed in a scheme of SLS.
func IsSLS(r *http.Request) bool {
	word, _ := scheme(r)
	return slsSchemes[word] != nil
}

// The codes and messages are those of SLS's page on common error codes.
var slsErrors = authErrors{
	outOfTime:  {status: 400, code: "RequestTimeExpired", message: "Request time exceeds server time more than 15 minutes."},
	unknownKey: {status: 401, code: "Unauthorized", message: "AccessKeyId not found: {id}"},
	wrongToken: {status: 401, code: "Unauthorized", message: "The security token you provided is invalid."},
	mismatched: {status: 401, code: "SignatureNotMatch", message: "Signature {signature} is not matched."},
}

// CheckSLS checks a request of SLS, whose whole body is given.
func (a Account) CheckSLS(r *http.Request, body []byte, now time.Time) *apierr.Error {
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
		{!IsSLS(r), "MissAccessKeyId", "x-log-accesskeyid does not exist in header."},
	} {
		if rule.broken {
			return apierr.New(http.StatusBadRequest, rule.code, "%s", rule.message)
		}
	}
	word, authorization := scheme(r)
	c, bad := slsSchemes[word](r, body, authorization)
	if bad != nil {
		return bad
	}
	c.token = r.Header.Get("x-acs-security-token")
	return a.verify(c, now, slsErrors)
}

func slsDate(text, layout string) (time.Time, *apierr.Error) {
	if text == "" {
		return time.Time{}, apierr.New(http.StatusBadRequest, "MissingDate", "Date does not exist in http header.")
	}
	return parseDate(text, *apierr.New(http.StatusBadRequest, "InvalidDateFormat", "Date %s must follow RFC822.", text), layout)
}

// readLOG reads "LOG ID:SIGNATURE" (SLS, request signatures).
func readLOG(r *http.Request, body []byte, authorization string) (credentials, *apierr.Error) {
	method := r.Header.Get("x-log-signaturemethod")
	if method == "" {
		return credentials{}, apierr.New(http.StatusBadRequest, "MissingSignatureMethod", "x-log-signaturemethod does not exist in http header.")
	}
	algorithm, ok := map[string]func() hash.Hash{"hmac-sha1": sha1.New, "hmac-sha256": sha256.New}[method]
	if !ok {
		return credentials{}, apierr.New(http.StatusBadRequest, "InvalidSignatureMethod", "signature method %s is unsupported.", method)
	}
	dateText := cmp.Or(r.Header.Get("x-log-date"), r.Header.Get("Date"))
	date, bad := slsDate(dateText, "Mon, 2 Jan 2006 15:04:05 GMT") // a day may have one digit, as in the vendor's own example
	if bad != nil {
		return credentials{}, bad
	}
	contentMD5 := r.Header.Get("Content-MD5")
	text := strings.Join([]string{r.Method, contentMD5, r.Header.Get("Content-Type"), dateText, ""}, "\n") +
		headerLines(r, headersWith(r.Header, "x-log-", "x-acs-")) + r.URL.EscapedPath()
	if pairs := queryPairs(r.URL.Query(), func(name, value string) string { return name + "=" + value }); pairs != nil {
		text += "?" + strings.Join(pairs, "&")
	}
	id, signature, _ := strings.Cut(authorization, ":")
	return credentials{
		id: id, signature: signature, date: date,
		broken: contentMD5 != fmt.Sprintf("%X", md5.Sum(body)) && (contentMD5 != "" || len(body) > 0),
		sign: func(secret string) string {
			return base64.StdEncoding.EncodeToString(mac(algorithm, []byte(secret), text))
		},
	}, nil
}

// readSLS4 reads "SLS4-HMAC-SHA256 Credential=ID/SCOPE,Signature=SIGNATURE",
// where SCOPE is DAY/REGION/sls/aliyun_v4_request. It does not name the signed
// headers: which they are follows from the request.
func readSLS4(r *http.Request, body []byte, authorization string) (credentials, *apierr.Error) {
	dateText := r.Header.Get("x-log-date")
	date, bad := slsDate(dateText, basicTime)
	if bad != nil {
		return credentials{}, bad
	}
	credential, signature, _ := strings.Cut(authorization, ",")
	id, scope, _ := strings.Cut(strings.TrimPrefix(credential, "Credential="), "/")
	parts := strings.Split(scope, "/")
	validScope := len(parts) == 4 && parts[0] == dateText[:8] && parts[1] != "" && parts[2] == "sls" && parts[3] == "aliyun_v4_request"

	names := append(headersWith(r.Header, "x-log-", "x-acs-"), "host")
	if r.Header.Get("Content-Type") != "" {
		names = append(names, "content-type")
	}
	text := scopedText("SLS4-HMAC-SHA256", dateText, scope, sls4Request(r, names))
	return credentials{
		id: id, signature: strings.TrimPrefix(strings.TrimSpace(signature), "Signature="), date: date,
		broken: !validScope || r.Header.Get("x-log-content-sha256") != sha256Hex(body),
		sign:   func(secret string) string { return scopedSign("aliyun_v4"+secret, scope, text) },
	}, nil
}

// sls4Request is the canonical request. In its query names are not escaped.
func sls4Request(r *http.Request, names []string) string {
	slices.Sort(names)
	pairs := queryPairs(r.URL.Query(), func(name, value string) string { return barePair(name, escape(value, "")) })
	return strings.Join([]string{
		r.Method, r.URL.EscapedPath(), strings.Join(pairs, "&"), headerLines(r, names), strings.Join(names, ";"), r.Header.Get("x-log-content-sha256"),
	}, "\n")
}
