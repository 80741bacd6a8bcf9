package sls

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"tallyman/fetch/internal/acs"
)

// A signer adds to a request the headers that prove who sends it, and when,
// with that body.
type signer func(req *http.Request, body []byte, now time.Time, keys acs.Keys, region string)

var signers = map[string]signer{
	"":        signV4,
	"v4":      signV4,
	"v1":      signV1("hmac-sha256", sha256.New),
	"v1-sha1": signV1("hmac-sha1", sha1.New),
}

// describe sets the headers that every version signs.
func describe(req *http.Request, body []byte, keys acs.Keys) {
	req.Header.Set("x-log-apiversion", "0.6.0")
	req.Header.Set("x-log-bodyrawsize", strconv.Itoa(len(body)))
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	if keys.SecurityToken != "" {
		req.Header.Set("x-acs-security-token", keys.SecurityToken)
	}
}

func signV1(method string, h func() hash.Hash) signer {
	return func(req *http.Request, body []byte, now time.Time, keys acs.Keys, _ string) {
		describe(req, body, keys)
		req.Header.Set("Date", now.UTC().Format(http.TimeFormat))
		req.Header.Set("x-log-signaturemethod", method)
		if len(body) > 0 {
			req.Header.Set("Content-MD5", fmt.Sprintf("%X", md5.Sum(body)))
		}
		authorizeV1(req, keys, h)
	}
}

func authorizeV1(req *http.Request, keys acs.Keys, h func() hash.Hash) {
	mac := sum(h, []byte(keys.AccessKeySecret), textV1(req))
	req.Header.Set("Authorization", "LOG "+keys.AccessKeyID+":"+base64.StdEncoding.EncodeToString(mac))
}

// textV1 is what version 1 signs. Unlike version 4 it takes the values of the
// query as decoded.
func textV1(req *http.Request) string {
	_, headers := signed(req, false)
	text := strings.Join([]string{
		req.Method, req.Header.Get("Content-MD5"), req.Header.Get("Content-Type"), req.Header.Get("Date"), headers,
	}, "\n") + req.URL.EscapedPath()
	if query := pairs(req.URL.Query(), func(k, v string) string { return k + "=" + v }); query != "" {
		text += "?" + query
	}
	return text
}

func signV4(req *http.Request, body []byte, now time.Time, keys acs.Keys, region string) {
	describe(req, body, keys)
	req.Header.Set("x-log-date", now.UTC().Format("20060102T150405Z"))
	req.Header.Set("x-log-content-sha256", hexSHA256(body))
	authorizeV4(req, keys, region)
}

func authorizeV4(req *http.Request, keys acs.Keys, region string) {
	date := req.Header.Get("x-log-date")
	scope := []string{date[:8], region, "sls", "aliyun_v4_request"}
	key := []byte("aliyun_v4" + keys.AccessKeySecret)
	for _, part := range scope {
		key = sum(sha256.New, key, part)
	}
	path := strings.Join(scope, "/")
	text := "SLS4-HMAC-SHA256\n" + date + "\n" + path + "\n" + hexSHA256([]byte(canonicalV4(req)))
	req.Header.Set("Authorization", fmt.Sprintf("SLS4-HMAC-SHA256 Credential=%s/%s,Signature=%x",
		keys.AccessKeyID, path, sum(sha256.New, key, text)))
}

func canonicalV4(req *http.Request) string {
	names, headers := signed(req, true)
	query := pairs(req.URL.Query(), func(k, v string) string {
		if v == "" {
			return k
		}
		return k + "=" + strings.ReplaceAll(url.QueryEscape(v), "+", "%20")
	})
	return strings.Join([]string{
		req.Method, req.URL.EscapedPath(), query, headers, strings.Join(names, ";"), req.Header.Get("x-log-content-sha256"),
	}, "\n")
}

// signed are the headers under the signature, by name and as lines: the
// vendor's own, and in version 4 the host and the content type too.
func signed(req *http.Request, v4 bool) (names []string, lines string) {
	values := map[string]string{}
	for name := range req.Header {
		lower := strings.ToLower(name)
		if strings.HasPrefix(lower, "x-log-") || strings.HasPrefix(lower, "x-acs-") || (v4 && lower == "content-type") {
			values[lower] = strings.TrimSpace(req.Header.Get(name))
		}
	}
	if v4 && req.Host != "" {
		values["host"] = req.Host
	}
	names = slices.Sorted(maps.Keys(values))
	for _, name := range names {
		lines += name + ":" + values[name] + "\n"
	}
	return names, lines
}

// pairs joins the parameters of a query, sorted by name and written by form.
func pairs(query url.Values, form func(k, v string) string) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(query)) {
		for _, value := range query[name] {
			list = append(list, form(name, value))
		}
	}
	return strings.Join(list, "&")
}

func sum(h func() hash.Hash, key []byte, text string) []byte {
	mac := hmac.New(h, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

func hexSHA256(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }
