package sandbox

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const sls4Date = "20060102T150405Z"

// readSLS4 reads "SLS4-HMAC-SHA256 Credential=ID/SCOPE,Signature=SIGNATURE".
// The header names no signed headers: which they are follows from the request.
func readSLS4(r *http.Request, body []byte, credentials string) (claim, *refusal) {
	date := r.Header.Get("x-log-date")
	when, bad := readDate(date, sls4Date)
	if bad != nil {
		return claim{}, bad
	}
	credential, signature, _ := strings.Cut(credentials, ",")
	id, scope, _ := strings.Cut(strings.TrimPrefix(credential, "Credential="), "/")
	signature = strings.TrimPrefix(strings.TrimSpace(signature), "Signature=")
	said := r.Header.Get("x-log-content-sha256")
	canonical := sls4Request(r.Method, r.URL.EscapedPath(), r.URL.Query(), sls4Headers(r), said)
	kept := said == fmt.Sprintf("%x", sha256.Sum256(body)) && properScope(scope, date)
	return claim{id: id, signature: signature, date: when, sound: kept, sign: func(secret string) string {
		return sls4Sign(secret, date, scope, canonical)
	}}, nil
}

func sls4Headers(r *http.Request) map[string]string {
	signed := headersWith(r.Header, "x-log-", "x-acs-")
	signed["host"] = r.Host
	if kind := r.Header.Get("Content-Type"); kind != "" {
		signed["content-type"] = kind
	}
	return signed
}

func sls4Request(method, path string, query url.Values, signed map[string]string, bodyHash string) string {
	var b strings.Builder
	names := slices.Sorted(maps.Keys(signed))
	fmt.Fprintf(&b, "%s\n%s\n%s\n", method, path, sls4Query(query))
	for _, name := range names {
		fmt.Fprintf(&b, "%s:%s\n", name, signed[name])
	}
	fmt.Fprintf(&b, "\n%s\n%s", strings.Join(names, ";"), bodyHash)
	return b.String()
}

// sls4Query is the query in order: values are encoded, keys are not, and an
// empty value has no "=".
func sls4Query(query url.Values) string {
	var pairs []string
	for _, key := range slices.Sorted(maps.Keys(query)) {
		for _, value := range query[key] {
			pair := key
			if value != "" {
				pair += "=" + strings.ReplaceAll(url.QueryEscape(value), "+", "%20")
			}
			pairs = append(pairs, pair)
		}
	}
	return strings.Join(pairs, "&")
}

// properScope says whether scope is DAY/REGION/sls/aliyun_v4_request, of the
// day of date.
func properScope(scope, date string) bool {
	parts := strings.Split(scope, "/")
	return len(parts) == 4 && parts[0] == date[:8] && parts[1] != "" && parts[2] == "sls" && parts[3] == "aliyun_v4_request"
}

func sls4Sign(secret, date, scope, canonical string) string {
	return scopedSign(secret, scope, scopedText("SLS4-HMAC-SHA256", date, scope, canonical))
}

// scopedText is what is signed of a canonical request, in the schemes whose
// keys have a scope.
func scopedText(scheme, date, scope, canonical string) string {
	sum := sha256.Sum256([]byte(canonical))
	return scheme + "\n" + date + "\n" + scope + "\n" + hex.EncodeToString(sum[:])
}

// scopedSign signs with a key that is good for one day, region and product.
func scopedSign(secret, scope, text string) string {
	return keyedSign("aliyun_v4"+secret, scope, text)
}

func keyedSign(secret, scope, text string) string {
	key := []byte(secret)
	for part := range strings.SplitSeq(scope, "/") {
		key = mac(sha256.New, key, part)
	}
	return hex.EncodeToString(mac(sha256.New, key, text))
}
