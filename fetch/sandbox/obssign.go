package sandbox

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// obsSubresources are the query parameters that OBS signs, besides those that
// begin as its headers do. Those without a dash each make another operation of
// a request.
var obsSubresources = []string{
	"acl", "append", "backtosource", "cors", "customdomain", "delete", "deletebucket", "directcoldaccess", "encryption",
	"inventory", "length", "lifecycle", "location", "logging", "metadata", "mirrorBackToSource", "modify", "name",
	"notification", "object-lock", "partNumber", "policy", "position", "quota", "rename", "replication",
	"response-cache-control", "response-content-disposition", "response-content-encoding",
	"response-content-language", "response-content-type", "response-expires", "restore", "retention", "storageClass",
	"storagePolicy", "storageinfo", "tagging", "torrent", "truncate", "uploadId", "uploads", "versionId", "versioning",
	"versions", "website",
}

// An obsScheme is a way to sign, and how the headers begin that it signs.
type obsScheme struct {
	prefix string
	read   func(v visit, credentials string) (claim, *refusal)
}

// obsSchemes are known by how the Authorization header begins.
var obsSchemes = map[string]obsScheme{
	"OBS":              {"x-obs-", readOBS},
	"AWS4-HMAC-SHA256": {"x-amz-", readAWS4},
}

// judgeOBS finds a request of OBS good, or says what the vendor says against
// it.
func (c *Cloud) judgeOBS(v visit) *refusal {
	word, credentials, _ := strings.Cut(v.Header.Get("Authorization"), " ")
	scheme, known := obsSchemes[word]
	if !known {
		return refuse(http.StatusForbidden, "AccessDenied", "Access Denied")
	}
	claim, bad := scheme.read(v, credentials)
	if bad != nil {
		return bad
	}
	claim.token = v.Header.Get(scheme.prefix + "security-token")
	if region := c.region(v.bucket); claim.region != "" && region != "" && claim.region != region {
		return refuse(http.StatusBadRequest, "AuthorizationHeaderMalformed", "The authorization header is malformed; the region '%s' is wrong; expecting '%s'", claim.region, region).
			with("Region", region)
	}
	switch c.weigh(claim) {
	case outOfTime:
		return refuse(http.StatusForbidden, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.").
			with("RequestTime", claim.date.Format(storeTime)).with("ServerTime", c.options.Now().UTC().Format(storeTime))
	case unknownKey:
		return refuse(http.StatusForbidden, "InvalidAccessKeyId", "The access key ID you provided does not exist in our records.").with("AWSAccessKeyId", claim.id)
	case wrongToken:
		return refuse(http.StatusBadRequest, "InvalidToken", "The provided token is malformed or otherwise invalid.")
	case mismatched:
		return refuse(http.StatusForbidden, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided. Check your key and signing method.").
			with("AWSAccessKeyId", claim.id).with("SignatureProvided", claim.signature).with("StringToSign", claim.text)
	}
	return nil
}

func noDate() *refusal {
	return refuse(http.StatusForbidden, "AccessDenied", "Authentication requires a valid Date or x-obs-date header")
}

// readOBS reads "OBS ID:SIGNATURE".
func readOBS(v visit, credentials string) (claim, *refusal) {
	when, bad := readDate(cmp.Or(v.Header.Get("x-obs-date"), v.Header.Get("Date")), http.TimeFormat, sls4Date)
	if bad != nil {
		return claim{}, noDate()
	}
	id, signature, _ := strings.Cut(credentials, ":")
	text := v.obsText()
	return claim{id: id, signature: signature, date: when, sound: true, text: text, sign: func(secret string) string {
		return signStore(secret, text)
	}}, nil
}

// obsText is the text that OBS signs: with the key as an address has it, and
// no Date where a header of its own has the date.
func (v visit) obsText() string {
	date := v.Header.Get("Date")
	if v.Header.Get("x-obs-date") != "" {
		date = ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n%s\n%s\n", v.Method, v.Header.Get("Content-MD5"), v.Header.Get("Content-Type"), date)
	signed := headersWith(v.Header, "x-obs-")
	for _, name := range sortedNames(signed) {
		fmt.Fprintf(&b, "%s:%s\n", name, signed[name])
	}
	b.WriteString(escaped(v.resource(), "/"))
	separator := "?"
	for _, name := range sortedNames(v.query) {
		if !slices.Contains(obsSubresources, name) && !strings.HasPrefix(name, "x-obs-") {
			continue
		}
		b.WriteString(separator + name)
		if value := v.query.Get(name); value != "" {
			b.WriteString("=" + value)
		}
		separator = "&"
	}
	return b.String()
}

func sortedNames[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// readAWS4 reads "AWS4-HMAC-SHA256 Credential=ID/SCOPE, SignedHeaders=A;B,
// Signature=SIGNATURE", with the date in x-amz-date or in Date.
func readAWS4(v visit, credentials string) (claim, *refusal) {
	when, bad := readDate(cmp.Or(v.Header.Get("x-amz-date"), v.Header.Get("Date")), sls4Date, http.TimeFormat)
	if bad != nil {
		return claim{}, noDate()
	}
	said := fields(credentials)
	id, scope, _ := strings.Cut(said["Credential"], "/")
	parts := strings.Split(scope, "/")
	if len(parts) != 4 || parts[0] != when.Format("20060102") || parts[1] == "" || parts[2] != "s3" || parts[3] != "aws4_request" {
		return claim{}, refuse(http.StatusBadRequest, "AuthorizationHeaderMalformed", "The authorization header you provided is invalid.")
	}
	canonical, bad := v.aws4Request(said["SignedHeaders"])
	if bad != nil {
		return claim{}, bad
	}
	text := scopedText("AWS4-HMAC-SHA256", when.UTC().Format(sls4Date), scope, canonical)
	return claim{id: id, signature: said["Signature"], date: when, sound: true, region: parts[1], text: text, canonical: canonical,
		sign: func(secret string) string { return keyedSign("AWS4"+secret, scope, text) }}, nil
}

// aws4Request is the canonical request. The headers that are signed must hold
// Host and all of the vendor's.
func (v visit) aws4Request(signed string) (string, *refusal) {
	payload := v.Header.Get("x-amz-content-sha256")
	if payload != "UNSIGNED-PAYLOAD" && payload != emptySHA256 {
		return "", refuse(http.StatusBadRequest, "InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
	}
	names := strings.Split(signed, ";")
	must := append(sortedNames(headersWith(v.Header, "x-amz-")), "host")
	if slices.ContainsFunc(must, func(name string) bool { return !slices.Contains(names, name) }) {
		return "", refuse(http.StatusForbidden, "AccessDenied", "There were headers present in the request which were not signed")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n%s\n", v.Method, escaped(v.URL.Path, "/"), aws4Query(v.query))
	for _, name := range names {
		value := v.Header.Get(name)
		if name == "host" {
			value = v.Host
		}
		fmt.Fprintf(&b, "%s:%s\n", name, strings.TrimSpace(value))
	}
	fmt.Fprintf(&b, "\n%s\n%s", signed, payload)
	return b.String(), nil
}

// emptySHA256 is the hash of no bytes.
const emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// aws4Query is the query in the order of its encoded keys, a space as %20.
func aws4Query(query url.Values) string {
	var pairs []string
	for _, name := range sortedNames(query) {
		for _, value := range query[name] {
			pairs = append(pairs, escaped(name, "")+"="+escaped(value, ""))
		}
	}
	return strings.Join(pairs, "&")
}
