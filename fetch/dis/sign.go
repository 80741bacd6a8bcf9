package dis

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// A signer adds to a request the header that proves who sends it, and when,
// with that body. All other headers must be there already.
type signer func(req *http.Request, body []byte, keys Keys, region string)

var signers = map[string]signer{"": signDerived, "derived": signDerived, "plain": signPlain}

const (
	algorithm  = "SDK-HMAC-SHA256"
	dateHeader = "X-Sdk-Date"
	dateForm   = "20060102T150405Z"
)

// prove sets the headers of a call by those keys, now.
func (s signer) prove(req *http.Request, body []byte, now time.Time, keys Keys, region string) {
	for name, value := range map[string]string{
		dateHeader: now.UTC().Format(dateForm), "X-Project-Id": keys.ProjectID, "X-Security-Token": keys.SecurityToken,
	} {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	s(req, body, keys, region)
}

func signPlain(req *http.Request, body []byte, keys Keys, _ string) {
	names, canonical := canonicalOf(req, body)
	text := algorithm + "\n" + req.Header.Get(dateHeader) + "\n" + hexSHA256([]byte(canonical))
	authorize(req, "Access="+keys.AccessKey, names, sum([]byte(keys.SecretKey), text))
}

func signDerived(req *http.Request, body []byte, keys Keys, region string) {
	names, canonical := canonicalOf(req, body)
	date := req.Header.Get(dateHeader)
	scope := []string{date[:8], region, "dis", "sdk_request"}
	key := []byte("SDK" + keys.SecretKey)
	for _, part := range scope {
		key = sum(key, part)
	}
	path := strings.Join(scope, "/")
	text := algorithm + "\n" + date + "\n" + path + "\n" + hexSHA256([]byte(canonical))
	authorize(req, "Credential="+keys.AccessKey+"/"+path, names, sum(key, text))
}

func authorize(req *http.Request, who string, names []string, mac []byte) {
	req.Header.Set("Authorization", fmt.Sprintf("%s %s, SignedHeaders=%s, Signature=%x", algorithm, who, strings.Join(names, ";"), mac))
}

// canonicalOf is the request in the form that both signatures hash, and the
// names of the headers in it: all that it has.
func canonicalOf(req *http.Request, body []byte) (names []string, canonical string) {
	values := map[string]string{}
	for name := range req.Header {
		values[strings.ToLower(name)] = strings.TrimSpace(req.Header.Get(name))
	}
	if req.Host != "" {
		values["host"] = req.Host
	}
	names = slices.Sorted(maps.Keys(values))
	var headers string
	for _, name := range names {
		headers += name + ":" + values[name] + "\n"
	}
	path := strings.TrimSuffix(req.URL.EscapedPath(), "/") + "/"
	return names, strings.Join([]string{
		req.Method, path, queryOf(req.URL.Query()), headers, strings.Join(names, ";"), hexSHA256(body),
	}, "\n")
}

func queryOf(query url.Values) string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(query)) {
		for _, value := range slices.Sorted(slices.Values(query[name])) {
			pairs = append(pairs, escape(name)+"="+escape(value))
		}
	}
	return strings.Join(pairs, "&")
}

// escape leaves only the unreserved characters of RFC 3986.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

func sum(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

func hexSHA256(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }
