package sandbox

import (
	"cmp"
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

// subresources are the query parameters that V1 signs, in order. Those without
// a dash each make another operation of a request.
var subresources = []string{
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

func isOperation(name string) bool {
	return name != "objectMeta" && !strings.Contains(name, "-")
}

type storeReader func(v visit, credentials string) (claim, *refusal)

// storeSchemes are known by how the Authorization header begins.
var storeSchemes = map[string]storeReader{
	"OSS":              readOSS,
	"OSS4-HMAC-SHA256": readOSS4,
}

// judgeVisit finds a request of the store good, or says what the vendor says
// against it.
func (c *Cloud) judgeVisit(v visit, authorization string) *refusal {
	word, credentials, _ := strings.Cut(authorization, " ")
	read := storeSchemes[word]
	if read == nil {
		return refuse(http.StatusBadRequest, "InvalidArgument", "Authorization header is invalid.").with("Authorization", authorization)
	}
	claim, bad := read(v, credentials)
	if bad != nil {
		return bad
	}
	claim.token = v.Header.Get("x-oss-security-token")
	if region := c.region(v.bucket); claim.region != "" && region != "" && claim.region != region {
		return badScope("signing region", "0002-00000226")
	}
	switch c.weigh(claim) {
	case outOfTime:
		return tooSkewed(claim.date, c.options.Now())
	case unknownKey:
		return noKey(claim.id)
	case wrongToken:
		return wrongStoreToken()
	case mismatched:
		return noMatch(claim)
	}
	return nil
}

func tooSkewed(date, now time.Time) *refusal {
	return refuse(http.StatusForbidden, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.").
		with("MaxAllowedSkewMilliseconds", strconv.FormatInt(skew.Milliseconds(), 10)).
		with("RequestTime", date.UTC().Format(storeTime)).
		with("ServerTime", now.UTC().Format(storeTime)).numbered("0002-00000504")
}

func noKey(id string) *refusal {
	return refuse(http.StatusForbidden, "InvalidAccessKeyId", "The OSS Access Key Id you provided does not exist in our records.").
		with("OSSAccessKeyId", id).numbered("0002-00000902")
}

func wrongStoreToken() *refusal {
	return refuse(http.StatusForbidden, "InvalidSecurityToken", "The security token you provided is invalid.")
}

// noMatch tells, as the vendor does, what should have been signed.
func noMatch(claim claim) *refusal {
	bad := refuse(http.StatusForbidden, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided. Check your key and signing method.").
		with("OSSAccessKeyId", claim.id).with("SignatureProvided", claim.signature).
		with("StringToSign", claim.text).with("StringToSignBytes", fmt.Sprintf("% X ", claim.text))
	if claim.canonical != "" {
		return bad.with("CanonicalRequest", claim.canonical)
	}
	return bad.numbered("0002-00000040")
}

// readOSS reads "OSS ID:SIGNATURE".
func readOSS(v visit, credentials string) (claim, *refusal) {
	date := cmp.Or(v.Header.Get("x-oss-date"), v.Header.Get("Date"))
	when, bad := storeDate(date, http.TimeFormat)
	if bad != nil {
		return claim{}, bad
	}
	id, signature, _ := strings.Cut(credentials, ":")
	text := storeText(v.Method, date, v.resource(), v.Header, v.query)
	return claim{id: id, signature: signature, date: when, sound: true, text: text, sign: func(secret string) string {
		return signStore(secret, text)
	}}, nil
}

func storeDate(text string, layouts ...string) (time.Time, *refusal) {
	when, bad := readDate(text, layouts...)
	if bad != nil {
		bad = refuse(http.StatusForbidden, "AccessDenied", "OSS authentication requires a valid Date.")
	}
	return when, bad
}

// storeText is the text that V1 signs, with a date or with the Expires of a
// URL: it binds a URL to its method, and every x-oss-* header to the signature.
func storeText(method, date, resource string, h http.Header, query url.Values) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n%s\n%s\n", method, h.Get("Content-MD5"), h.Get("Content-Type"), date)
	signed := headersWith(h, "x-oss-")
	for _, name := range slices.Sorted(maps.Keys(signed)) {
		fmt.Fprintf(&b, "%s:%s\n", name, signed[name])
	}
	b.WriteString(resource)
	separator := "?"
	for _, name := range subresources {
		if !query.Has(name) {
			continue
		}
		b.WriteString(separator + name)
		if value := query.Get(name); value != "" {
			b.WriteString("=" + value)
		}
		separator = "&"
	}
	return b.String()
}

func signStore(secret, text string) string {
	return base64.StdEncoding.EncodeToString(mac(sha1.New, []byte(secret), text))
}
