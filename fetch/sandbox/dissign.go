package sandbox

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	sdkHMAC = "SDK-HMAC-SHA256"
	sdkDate = "20060102T150405Z"

	// statusDIS is what DIS has for 401.
	statusDIS = 441
)

// judgeDIS finds a call of DIS good: by its token, or else by its signature.
func (c *Cloud) judgeDIS(q disCall) *refusal {
	if tokens := q.Header.Values("X-Auth-Token"); len(tokens) > 0 {
		return c.judgeToken(tokens[0])
	}
	credentials, signed := strings.CutPrefix(q.Header.Get("Authorization"), sdkHMAC+" ")
	if !signed {
		return refuse(statusDIS, "DIS.4101", "Authorization error: the Authorization header is empty")
	}
	claim, bad := readSDK(q, fields(credentials))
	if bad != nil {
		return bad
	}
	claim.token = q.Header.Get("X-Security-Token")
	return c.weighSDK(claim)
}

func (c *Cloud) judgeToken(token string) *refusal {
	switch {
	case token == "":
		return refuse(statusDIS, "DIS.4113", "Authorization error: the token is empty")
	case c.options.AuthToken == "" || !equal(token, c.options.AuthToken):
		return refuse(statusDIS, "DIS.4114", "Authorization error: the token is invalid")
	}
	return nil
}

// An sdkClaim is signed in one of two forms, of which the one is the gateway's,
// which refuses in its own words.
type sdkClaim struct {
	claim
	derived bool
}

func (c *Cloud) weighSDK(claim sdkClaim) *refusal {
	found := c.weigh(claim.claim)
	if found == believed {
		return nil
	}
	if !claim.derived {
		words := map[verdict]string{outOfTime: "APIGW.0303", unknownKey: "APIGW.0301", wrongToken: "APIGW.0301", mismatched: "APIGW.0301"}
		return refuse(http.StatusUnauthorized, words[found], "Incorrect IAM authentication information: verify aksk signature fail")
	}
	words := map[verdict]string{outOfTime: "DIS.4105", unknownKey: "DIS.4107", wrongToken: "DIS.4114", mismatched: "DIS.4100"}
	return refuse(statusDIS, words[found], "Authorization error: the signature of %s is not good", claim.id)
}

// readSDK reads "SDK-HMAC-SHA256 Access=ID, SignedHeaders=A;B,
// Signature=SIGNATURE", or the same with Credential=ID/SCOPE.
func readSDK(q disCall, said map[string]string) (sdkClaim, *refusal) {
	id, scope, derived := strings.Cut(said["Credential"], "/")
	if said["Credential"] == "" {
		id = said["Access"]
	}
	signed := strings.Split(said["SignedHeaders"], ";")
	if id == "" || said["Signature"] == "" || !slices.Contains(signed, "x-sdk-date") {
		return sdkClaim{}, refuse(statusDIS, "DIS.4109", "Authorization error: it must contain {Credential,SignedHeaders,Signature;}")
	}
	date := q.Header.Get("X-Sdk-Date")
	when, err := time.Parse(sdkDate, date)
	if err != nil {
		return sdkClaim{}, refuse(statusDIS, "DIS.4104", "Authorization error: X-Sdk-Date cannot be read")
	}
	if derived {
		if bad := checkSDKScope(scope, date); bad != nil {
			return sdkClaim{}, bad
		}
	}
	canonical, hash := sdkRequests(q, signed)
	return sdkClaim{claim{id: id, signature: said["Signature"], date: when, sound: hash, sign: func(secret string) string {
		return sdkSign(secret, date, scope, said["Signature"], canonical)
	}}, derived}, nil
}

func checkSDKScope(scope, date string) *refusal {
	parts := strings.Split(scope, "/")
	switch {
	case len(parts) != 4 || parts[0] != date[:8] || parts[3] != "sdk_request":
		return refuse(statusDIS, "DIS.4102", "Authorization error: the credential scope cannot be read")
	case parts[1] == "":
		return refuse(statusDIS, "DIS.4111", "Authorization error: the region is invalid")
	case parts[2] != "dis":
		return refuse(statusDIS, "DIS.4108", "Authorization error: the service name is empty or not dis")
	}
	return nil
}

// sdkRequests are the forms that a signature may be of: the vendor's SDKs
// differ in whether a path ends in a slash. It also says whether the body is
// what was hashed.
func sdkRequests(q disCall, signed []string) (canonical []string, sound bool) {
	sum := sha256.Sum256(q.body)
	hash := hex.EncodeToString(sum[:])
	said := hash
	if h := q.Header.Get("X-Sdk-Content-Sha256"); h != "" {
		said = h
	}
	var headers strings.Builder
	for _, name := range signed {
		value := strings.TrimSpace(q.Header.Get(name))
		if name == "host" {
			value = q.Host
		}
		fmt.Fprintf(&headers, "%s:%s\n", name, value)
	}
	path := strings.TrimRight(q.URL.EscapedPath(), "/")
	for _, end := range []string{"/", ""} {
		canonical = append(canonical, strings.Join([]string{
			q.Method, path + end, sdkQuery(q.URL.Query()), headers.String(), strings.Join(signed, ";"), said,
		}, "\n"))
	}
	return canonical, said == hash
}

func sdkQuery(query url.Values) string {
	var pairs []string
	for name, values := range query {
		for _, value := range values {
			pairs = append(pairs, escaped(name, "")+"="+escaped(value, ""))
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

// sdkSign is the signature of that one of the requests which the given one is
// of, or else of the first. Without a scope it is the gateway's form.
func sdkSign(secret, date, scope, given string, canonical []string) string {
	var first string
	for i, request := range canonical {
		sum := sha256.Sum256([]byte(request))
		text := sdkHMAC + "\n" + date + "\n" + hex.EncodeToString(sum[:])
		signature := hex.EncodeToString(mac(sha256.New, []byte(secret), text))
		if scope != "" {
			signature = keyedSign("SDK"+secret, scope, scopedText(sdkHMAC, date, scope, request))
		}
		if equal(signature, given) {
			return signature
		}
		if i == 0 {
			first = signature
		}
	}
	return first
}
