package sign

import (
	"cmp"
	"crypto/sha1"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"tallyman/fetch/sandbox/internal/apierr"
)

// ossSubresources are the query parameters that V1 signs, in order. Those
// without a dash name an operation, but for objectMeta.
var ossSubresources = []string{
	"acl", "append", "asyncFetch", "bucketInfo", "callback", "callback-var", "cname", "comp", "continuation-token",
	"cors", "delete", "encryption", "endTime", "img", "inventory", "inventoryId", "lifecycle", "live", "location",
	"logging", "metaQuery", "objectMeta", "partNumber", "policy", "position", "qos", "qosInfo", "referer", "regionList",
	"replication", "replicationLocation", "replicationProgress", "requestPayment", "resourceGroup",
	"response-cache-control", "response-content-disposition", "response-content-encoding",
	"response-content-language", "response-content-type", "response-expires", "restore", "security-token",
	"sequential", "startTime", "stat", "status", "style", "styleName", "symlink", "tagging", "transferAcceleration",
	"uploadId", "uploads", "versionId", "versioning", "versions", "vod", "website", "worm", "wormExtend", "wormId",
	"x-oss-process", "x-oss-request-payer", "x-oss-traffic-limit",
}

// NamesOperation reports whether a query names an operation of OSS, or also
// one of OBS, other than those on objects and their listing: such as ?acl.
func NamesOperation(query url.Values, obs bool) bool {
	for name := range query {
		known := slices.Contains(ossSubresources, name) || obs && slices.Contains(obsSubresources, name)
		if known && name != "objectMeta" && !strings.Contains(name, "-") {
			return true
		}
	}
	return false
}

// A Target is the bucket and the key that a request of a store is for, as its
// host and path name them, decoded.
type Target struct {
	Bucket, Key string
	Region      string // that a key with a scope must be good for. "" = any
}

// resource is the target as V1 signs it.
func (t Target) resource() string {
	if t.Bucket == "" {
		return "/"
	}
	return "/" + t.Bucket + "/" + t.Key
}

// An Access is what the signer of a request of OSS may read.
type Access struct {
	Customer bool  // the customer's own buckets; else the files that the cloud gives by URL
	Expires  int64 // of the signed URL, in seconds since 1970. 0 = signed in a header
}

const ossMismatch = "The request signature we calculated does not match the signature you provided. Check your key and signing method."

// The codes, messages and EC numbers are those of OSS's pages on errors.
var ossErrors = authErrors{
	outOfTime: {status: 403, code: "RequestTimeTooSkewed", message: "The difference between the request time and the current time is too large.", ec: "0002-00000504",
		details: [][2]string{{"MaxAllowedSkewMilliseconds", strconv.FormatInt(MaxSkew.Milliseconds(), 10)}, {"RequestTime", "{date}"}, {"ServerTime", "{now}"}}},
	unknownKey: {status: 403, code: "InvalidAccessKeyId", message: "The OSS Access Key Id you provided does not exist in our records.", ec: "0002-00000902",
		details: [][2]string{{"OSSAccessKeyId", "{id}"}}},
	wrongToken: {status: 403, code: "InvalidSecurityToken", message: "The security token you provided is invalid."},
	mismatched: {status: 403, code: "SignatureDoesNotMatch", message: ossMismatch, ec: "0002-00000040",
		details: [][2]string{{"OSSAccessKeyId", "{id}"}, {"SignatureProvided", "{signature}"}, {"StringToSign", "{text}"}, {"StringToSignBytes", "{bytes}"}}},
}

// ossSchemes are known by how the Authorization header begins.
var ossSchemes = map[string]func(r *http.Request, t Target, authorization string) (credentials, *apierr.Error){
	"OSS":              readOSS,
	"OSS4-HMAC-SHA256": readOSS4,
}

// CheckOSS checks a request of OSS that is signed in a header, which the
// customer alone does, or in its URL. Of a URL it looks at the expiry before
// the signature.
func (a Account) CheckOSS(r *http.Request, t Target, now time.Time) (Access, *apierr.Error) {
	word, authorization := scheme(r)
	read := ossSchemes[word]
	switch {
	case r.Header.Get("Authorization") == "":
		return a.checkOSSURL(r, t, now)
	case r.URL.Query().Has("Signature"):
		return Access{}, apierr.New(http.StatusBadRequest, "InvalidArgument", "Only one auth mechanism allowed: the Signature query string parameter or the Authorization header.")
	case read == nil:
		return Access{}, apierr.New(http.StatusBadRequest, "InvalidArgument", "Authorization header is invalid.").WithDetail("Authorization", r.Header.Get("Authorization"))
	}
	c, bad := read(r, t, authorization)
	if bad != nil {
		return Access{}, bad
	}
	c.token = r.Header.Get("x-oss-security-token")
	if c.region != "" && t.Region != "" && c.region != t.Region {
		return Access{}, ossScopeError("signing region", "0002-00000226")
	}
	bad = a.verify(c, now, ossErrors)
	if bad != nil && bad.Code == ossErrors[mismatched].code && c.canonical != "" {
		bad.WithEC("").WithDetail("CanonicalRequest", c.canonical) // V4 has that in place of the number
	}
	return Access{Customer: true}, bad
}

// urlKeyID is the ID of the cloud's own key, which signs the URLs that it gives.
const urlKeyID = "SANDBOXSTORE"

// SignURL returns the query of a URL of V1, good to GET path until expires, in
// seconds since 1970, and signed with the cloud's own key.
func (a Account) SignURL(path string, expires int64) url.Values {
	date := strconv.FormatInt(expires, 10)
	text := ossText(&http.Request{Method: http.MethodGet}, date, path, nil)
	return url.Values{"Expires": {date}, "OSSAccessKeyId": {urlKeyID}, "Signature": {signSHA1(a.URLSecret, text)}}
}

// checkOSSURL checks a URL of V1, signed by the cloud or by the customer.
func (a Account) checkOSSURL(r *http.Request, t Target, now time.Time) (Access, *apierr.Error) {
	query := r.URL.Query()
	given := slices.DeleteFunc([]string{"Expires", "OSSAccessKeyId", "Signature"}, func(name string) bool { return query.Get(name) == "" })
	switch len(given) {
	case 0:
		return Access{}, OSSAccessDenied()
	case 1, 2:
		return Access{}, apierr.New(http.StatusForbidden, "AccessDenied", "Query-string authentication requires the Signature, Expires and OSSAccessKeyId parameters.")
	}
	expires, err := strconv.ParseInt(query.Get("Expires"), 10, 64)
	if err != nil {
		return Access{}, apierr.New(http.StatusForbidden, "AccessDenied", "Invalid date (should be seconds since epoch): %s", query.Get("Expires"))
	}
	if now.Unix() > expires {
		return Access{}, OSSExpired(time.Unix(expires, 0), now)
	}
	c := credentials{id: query.Get("OSSAccessKeyId"), signature: query.Get("Signature"), text: ossText(r, query.Get("Expires"), t.resource(), query)}
	access, secret := Access{Expires: expires}, a.URLSecret
	switch c.id {
	case urlKeyID:
	case a.AccessKeyID:
		if !equal(query.Get("security-token"), a.SecurityToken) {
			return Access{}, ossErrors.of(wrongToken, c, now)
		}
		access.Customer, secret = true, a.AccessKeySecret
	default:
		return Access{}, ossErrors.of(unknownKey, c, now)
	}
	if !equal(c.signature, signSHA1(secret, c.text)) {
		return Access{}, ossErrors.of(mismatched, c, now)
	}
	return access, nil
}

// OSSExpired is the error for a URL that has expired.
func OSSExpired(expires, now time.Time) *apierr.Error {
	return apierr.New(http.StatusForbidden, "AccessDenied", "Request has expired.").
		WithDetail("Expires", expires.UTC().Format(xmlTime)).WithDetail("ServerTime", now.UTC().Format(xmlTime)).WithEC("0002-00000069")
}

// OSSAccessDenied is the error for a signer, or for nobody, who may not read a
// bucket.
func OSSAccessDenied() *apierr.Error {
	return apierr.New(http.StatusForbidden, "AccessDenied", "You have no right to access this object because of bucket acl.").WithEC("0003-00000001")
}

var ossDateError = apierr.Error{Status: http.StatusForbidden, Code: "AccessDenied", Message: "OSS authentication requires a valid Date."}

// readOSS reads "OSS ID:SIGNATURE" (OSS, signature V1 in a header).
func readOSS(r *http.Request, t Target, authorization string) (credentials, *apierr.Error) {
	dateText := cmp.Or(r.Header.Get("x-oss-date"), r.Header.Get("Date"))
	date, bad := parseDate(dateText, ossDateError, http.TimeFormat)
	if bad != nil {
		return credentials{}, bad
	}
	id, signature, _ := strings.Cut(authorization, ":")
	text := ossText(r, dateText, t.resource(), r.URL.Query())
	return credentials{id: id, signature: signature, date: date, text: text, sign: func(secret string) string { return signSHA1(secret, text) }}, nil
}

// ossText is the string to sign of V1, with a date or with the Expires of a
// URL. The signature so holds for one method, and for these x-oss-* headers.
func ossText(r *http.Request, date, resource string, query url.Values) string {
	text := strings.Join([]string{r.Method, r.Header.Get("Content-MD5"), r.Header.Get("Content-Type"), date, ""}, "\n") +
		headerLines(r, headersWith(r.Header, "x-oss-")) + resource
	return text + subresources(query, ossSubresources)
}

// subresources are the parameters of a query that have these names.
func subresources(query url.Values, names []string) string {
	var pairs []string
	for _, name := range names {
		if query.Has(name) {
			pairs = append(pairs, barePair(name, query.Get(name)))
		}
	}
	if pairs == nil {
		return ""
	}
	return "?" + strings.Join(pairs, "&")
}

func signSHA1(secret, text string) string {
	return base64.StdEncoding.EncodeToString(mac(sha1.New, []byte(secret), text))
}

// readOSS4 reads "OSS4-HMAC-SHA256 Credential=ID/SCOPE,AdditionalHeaders=A;B,
// Signature=SIGNATURE", of which the middle may be absent. The text to sign has
// the date as it is in x-oss-date, or else in Date.
func readOSS4(r *http.Request, t Target, authorization string) (credentials, *apierr.Error) {
	dateText, layout := r.Header.Get("x-oss-date"), basicTime
	if dateText == "" {
		dateText, layout = r.Header.Get("Date"), http.TimeFormat
	}
	date, bad := parseDate(dateText, ossDateError, layout)
	if bad != nil {
		return credentials{}, bad
	}
	given := fields(authorization)
	id, scope, _ := strings.Cut(given["Credential"], "/")
	parts := strings.Split(scope, "/")
	switch {
	case len(parts) != 4 || parts[3] != "aliyun_v4_request":
		return credentials{}, ossScopeError("Credential", "0002-00000213")
	case parts[0] != date.Format("20060102"):
		return credentials{}, ossScopeError("signing date", "")
	case parts[1] == "":
		return credentials{}, ossScopeError("signing region", "0002-00000226")
	case parts[2] != "oss":
		return credentials{}, ossScopeError("signing product", "0002-00000227")
	case r.Header.Get("x-oss-content-sha256") != "UNSIGNED-PAYLOAD":
		return credentials{}, apierr.New(http.StatusBadRequest, "InvalidArgument", "The header x-oss-content-sha256 is missing or invalid.")
	}
	canonical, bad := oss4Request(r, t, given["AdditionalHeaders"])
	if bad != nil {
		return credentials{}, bad
	}
	text := scopedText("OSS4-HMAC-SHA256", dateText, scope, canonical)
	return credentials{id: id, signature: given["Signature"], date: date, region: parts[1], text: text, canonical: canonical,
		sign: func(secret string) string { return scopedSign("aliyun_v4"+secret, scope, text) }}, nil
}

func ossScopeError(part, ec string) *apierr.Error {
	return apierr.New(http.StatusBadRequest, "InvalidArgument", "Invalid %s in Authorization header.", part).WithEC(ec)
}

// oss4Request is the canonical request of V4. It has the additional headers
// besides those that are always signed. The query is in the order of the
// escaped names.
func oss4Request(r *http.Request, t Target, additional string) (string, *apierr.Error) {
	names := headersWith(r.Header, "x-oss-")
	for _, name := range []string{"content-type", "content-md5"} {
		if header(r, name) != "" {
			names = append(names, name)
		}
	}
	for name := range strings.SplitSeq(additional, ";") {
		if name == "" {
			continue
		}
		if header(r, name) == "" {
			return "", apierr.New(http.StatusBadRequest, "InvalidArgument", "The header %s is missing or invalid.", name).WithEC("0002-00000078")
		}
		names = append(names, name)
	}
	slices.Sort(names)
	pairs := queryPairs(r.URL.Query(), func(name, value string) string { return barePair(escape(name, ""), escape(value, "")) })
	slices.SortStableFunc(pairs, func(a, b string) int {
		a, _, _ = strings.Cut(a, "=")
		b, _, _ = strings.Cut(b, "=")
		return strings.Compare(a, b)
	})
	return strings.Join([]string{
		r.Method, escape(t.resource(), "/"), strings.Join(pairs, "&"), headerLines(r, slices.Compact(names)), additional, r.Header.Get("x-oss-content-sha256"),
	}, "\n"), nil
}
