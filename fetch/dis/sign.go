package dis

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"tallyman/fetch/internal/api"
)

// A signer adds to a request the header that proves who sends it, when, and with
// which body. It signs all headers that the request has.
type signer func(req *http.Request, body []byte, keys Keys, region string)

// signers are the values of Provider.Signature.
var signers = map[string]signer{"": signDerived, "derived": signDerived, "plain": signPlain}

const (
	algorithm  = "SDK-HMAC-SHA256"
	dateHeader = "X-Sdk-Date"
	dateLayout = "20060102T150405Z"
)

// sign sets the headers of a call and signs it.
func (s signer) sign(req *http.Request, body []byte, now time.Time, keys Keys, region string) {
	for name, value := range map[string]string{
		dateHeader: now.UTC().Format(dateLayout), "X-Project-Id": keys.ProjectID, "X-Security-Token": keys.SecurityToken,
	} {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	s(req, body, keys, region)
}

func signPlain(req *http.Request, body []byte, keys Keys, _ string) {
	names, canonical := canonicalRequest(req, body)
	text := fmt.Sprintf("%s\n%s\n%x", algorithm, req.Header.Get(dateHeader), sha256.Sum256([]byte(canonical)))
	authorize(req, "Access="+keys.AccessKey, names, []byte(keys.SecretKey), text)
}

func signDerived(req *http.Request, body []byte, keys Keys, region string) {
	names, canonical := canonicalRequest(req, body)
	date := req.Header.Get(dateHeader)
	scope := []string{date[:8], region, "dis", "sdk_request"}
	path := strings.Join(scope, "/")
	text := fmt.Sprintf("%s\n%s\n%s\n%x", algorithm, date, path, sha256.Sum256([]byte(canonical)))
	authorize(req, "Credential="+keys.AccessKey+"/"+path, names, api.ScopedKey("SDK"+keys.SecretKey, scope), text)
}

func authorize(req *http.Request, who string, names []string, key []byte, text string) {
	req.Header.Set("Authorization", fmt.Sprintf("%s %s, SignedHeaders=%s, Signature=%x",
		algorithm, who, strings.Join(names, ";"), api.HMAC(sha256.New, key, text)))
}

// canonicalRequest returns the request in the form that both signers hash, and
// the names of its headers.
func canonicalRequest(req *http.Request, body []byte) (names []string, canonical string) {
	values := map[string]string{}
	for name := range req.Header {
		values[strings.ToLower(name)] = req.Header.Get(name)
	}
	if req.Host != "" {
		values["host"] = req.Host
	}
	names, headers := api.CanonicalHeaders(values)
	path := strings.TrimSuffix(req.URL.EscapedPath(), "/") + "/"
	return names, strings.Join([]string{
		req.Method, path, canonicalQuery(req.URL.Query()), headers, strings.Join(names, ";"), fmt.Sprintf("%x", sha256.Sum256(body)),
	}, "\n")
}

func canonicalQuery(query url.Values) string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(query)) {
		for _, value := range slices.Sorted(slices.Values(query[name])) {
			pairs = append(pairs, api.Escape(name)+"="+api.Escape(value))
		}
	}
	return strings.Join(pairs, "&")
}
