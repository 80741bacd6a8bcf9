package sign

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"tallyman/fetch/sandbox/internal/apierr"
)

// obsSubresources are the query parameters that OBS signs, besides those that
// begin as its headers do. Those without a dash name an operation.
var obsSubresources = []string{
	"acl", "append", "backtosource", "cors", "customdomain", "delete", "deletebucket", "directcoldaccess", "encryption",
	"inventory", "length", "lifecycle", "location", "logging", "metadata", "mirrorBackToSource", "modify", "name",
	"notification", "object-lock", "partNumber", "policy", "position", "quota", "rename", "replication",
	"response-cache-control", "response-content-disposition", "response-content-encoding",
	"response-content-language", "response-content-type", "response-expires", "restore", "retention", "storageClass",
	"storagePolicy", "storageinfo", "tagging", "torrent", "truncate", "uploadId", "uploads", "versionId", "versioning",
	"versions", "website",
}

// obsSchemes are known by how the Authorization header begins. Each has a
// prefix of its own for the headers of request and answer.
var obsSchemes = map[string]struct {
	prefix string
	read   func(r *http.Request, t Target, authorization string) (credentials, *apierr.Error)
}{
	"OBS":              {"x-obs-", readOBS},
	"AWS4-HMAC-SHA256": {"x-amz-", readAWS4},
}

// OBSPrefix returns how the names of headers begin in the scheme that a request
// is signed in: "x-obs-", or "x-amz-" of S3. It is "" for no scheme of OBS.
func OBSPrefix(r *http.Request) string {
	word, _ := scheme(r)
	return obsSchemes[word].prefix
}

// The codes and messages are those of OBS's page on error codes.
var obsErrors = authErrors{
	outOfTime: {status: 403, code: "RequestTimeTooSkewed", message: "The difference between the request time and the current time is too large.",
		details: [][2]string{{"RequestTime", "{date}"}, {"ServerTime", "{now}"}}},
	unknownKey: {status: 403, code: "InvalidAccessKeyId", message: "The access key ID you provided does not exist in our records.",
		details: [][2]string{{"AWSAccessKeyId", "{id}"}}},
	wrongToken: {status: 400, code: "InvalidToken", message: "The provided token is malformed or otherwise invalid."},
	mismatched: {status: 403, code: "SignatureDoesNotMatch", message: "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
		details: [][2]string{{"AWSAccessKeyId", "{id}"}, {"SignatureProvided", "{signature}"}, {"StringToSign", "{text}"}}},
}

// CheckOBS checks a request of OBS, signed in a header.
func (a Account) CheckOBS(r *http.Request, t Target, now time.Time) *apierr.Error {
	word, authorization := scheme(r)
	scheme, known := obsSchemes[word]
	if !known {
		return apierr.New(http.StatusForbidden, "AccessDenied", "Access Denied")
	}
	c, bad := scheme.read(r, t, authorization)
	if bad != nil {
		return bad
	}
	c.token = r.Header.Get(scheme.prefix + "security-token")
	if c.region != "" && t.Region != "" && c.region != t.Region {
		return apierr.New(http.StatusBadRequest, "AuthorizationHeaderMalformed", "The authorization header is malformed; the region '%s' is wrong; expecting '%s'", c.region, t.Region).
			WithDetail("Region", t.Region)
	}
	return a.verify(c, now, obsErrors)
}

var obsDateError = apierr.Error{Status: http.StatusForbidden, Code: "AccessDenied", Message: "Authentication requires a valid Date or x-obs-date header"}

// readOBS reads "OBS ID:SIGNATURE" (OBS, signature in a header).
func readOBS(r *http.Request, t Target, authorization string) (credentials, *apierr.Error) {
	date, bad := parseDate(cmp.Or(r.Header.Get("x-obs-date"), r.Header.Get("Date")), obsDateError, http.TimeFormat, basicTime)
	if bad != nil {
		return credentials{}, bad
	}
	id, signature, _ := strings.Cut(authorization, ":")
	text := obsText(r, t)
	return credentials{id: id, signature: signature, date: date, text: text, sign: func(secret string) string { return signSHA1(secret, text) }}, nil
}

// obsText is the string to sign of OBS. The key is escaped in it, and Date is
// left out where x-obs-date has the date.
func obsText(r *http.Request, t Target) string {
	date := r.Header.Get("Date")
	if r.Header.Get("x-obs-date") != "" {
		date = ""
	}
	query := r.URL.Query()
	var signed []string
	for name := range query {
		if slices.Contains(obsSubresources, name) || strings.HasPrefix(name, "x-obs-") {
			signed = append(signed, name)
		}
	}
	slices.Sort(signed)
	return strings.Join([]string{r.Method, r.Header.Get("Content-MD5"), r.Header.Get("Content-Type"), date, ""}, "\n") +
		headerLines(r, headersWith(r.Header, "x-obs-")) + escape(t.resource(), "/") + subresources(query, signed)
}

// readAWS4 reads "AWS4-HMAC-SHA256 Credential=ID/SCOPE, SignedHeaders=A;B,
// Signature=SIGNATURE", where SCOPE is DAY/REGION/s3/aws4_request. The date is
// in x-amz-date or in Date. Host and every x-amz-* header must be signed.
func readAWS4(r *http.Request, _ Target, authorization string) (credentials, *apierr.Error) {
	date, bad := parseDate(cmp.Or(r.Header.Get("x-amz-date"), r.Header.Get("Date")), obsDateError, http.TimeFormat, basicTime)
	if bad != nil {
		return credentials{}, bad
	}
	given := fields(authorization)
	id, scope, _ := strings.Cut(given["Credential"], "/")
	parts := strings.Split(scope, "/")
	if len(parts) != 4 || parts[0] != date.Format("20060102") || parts[1] == "" || parts[2] != "s3" || parts[3] != "aws4_request" {
		return credentials{}, apierr.New(http.StatusBadRequest, "AuthorizationHeaderMalformed", "The authorization header you provided is invalid.")
	}
	payload := r.Header.Get("x-amz-content-sha256")
	if payload != "UNSIGNED-PAYLOAD" && payload != sha256Hex(nil) {
		return credentials{}, apierr.New(http.StatusBadRequest, "InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
	}
	signed := strings.Split(given["SignedHeaders"], ";")
	for _, name := range append(headersWith(r.Header, "x-amz-"), "host") {
		if !slices.Contains(signed, name) {
			return credentials{}, apierr.New(http.StatusForbidden, "AccessDenied", "There were headers present in the request which were not signed")
		}
	}
	canonical := strings.Join([]string{
		r.Method, escape(r.URL.Path, "/"), strings.Join(queryPairs(r.URL.Query(), escapedPair), "&"),
		headerLines(r, signed), given["SignedHeaders"], payload,
	}, "\n")
	text := scopedText("AWS4-HMAC-SHA256", date.Format(basicTime), scope, canonical)
	return credentials{id: id, signature: given["Signature"], date: date, region: parts[1], text: text, canonical: canonical,
		sign: func(secret string) string { return scopedSign("AWS4"+secret, scope, text) }}, nil
}
