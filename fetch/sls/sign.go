package sls

import (
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
	"tallyman/fetch/internal/api"
)

// sign adds to a request the headers that prove who sends it, when, and with which
// body. version is one of Provider.Signature.
func sign(version string, req *http.Request, body []byte, now time.Time, keys acs.Keys, region string) error {
	req.Header.Set("x-log-apiversion", "0.6.0")
	req.Header.Set("x-log-bodyrawsize", strconv.Itoa(len(body)))
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	if keys.SecurityToken != "" {
		req.Header.Set("x-acs-security-token", keys.SecurityToken)
	}
	method, h := "hmac-sha256", sha256.New // of version 1
	switch version {
	case "", "v4":
		req.Header.Set("x-log-date", now.UTC().Format("20060102T150405Z"))
		req.Header.Set("x-log-content-sha256", fmt.Sprintf("%x", sha256.Sum256(body)))
		authorizeV4(req, keys, region)
		return nil
	case "v1":
	case "v1-sha1":
		method, h = "hmac-sha1", sha1.New
	default:
		return fmt.Errorf("unknown signature version %q, want v4, v1 or v1-sha1", version)
	}
	req.Header.Set("Date", now.UTC().Format(http.TimeFormat))
	req.Header.Set("x-log-signaturemethod", method)
	if len(body) > 0 {
		req.Header.Set("Content-MD5", fmt.Sprintf("%X", md5.Sum(body)))
	}
	authorizeV1(req, keys, h)
	return nil
}

// authorizeV1 signs the values of the query as decoded, unlike version 4.
func authorizeV1(req *http.Request, keys acs.Keys, h func() hash.Hash) {
	_, headers := signedHeaders(req, false)
	text := strings.Join([]string{
		req.Method, req.Header.Get("Content-MD5"), req.Header.Get("Content-Type"), req.Header.Get("Date"), headers,
	}, "\n") + req.URL.EscapedPath()
	if query := sortedQuery(req.URL.Query(), func(k, v string) string { return k + "=" + v }); query != "" {
		text += "?" + query
	}
	mac := api.HMAC(h, []byte(keys.AccessKeySecret), text)
	req.Header.Set("Authorization", "LOG "+keys.AccessKeyID+":"+base64.StdEncoding.EncodeToString(mac))
}

func authorizeV4(req *http.Request, keys acs.Keys, region string) {
	names, headers := signedHeaders(req, true)
	query := sortedQuery(req.URL.Query(), func(k, v string) string {
		if v == "" {
			return k
		}
		return k + "=" + api.Escape(v)
	})
	canonical := strings.Join([]string{
		req.Method, req.URL.EscapedPath(), query, headers, strings.Join(names, ";"), req.Header.Get("x-log-content-sha256"),
	}, "\n")
	date := req.Header.Get("x-log-date")
	scope := []string{date[:8], region, "sls", "aliyun_v4_request"}
	path := strings.Join(scope, "/")
	text := fmt.Sprintf("SLS4-HMAC-SHA256\n%s\n%s\n%x", date, path, sha256.Sum256([]byte(canonical)))
	mac := api.HMAC(sha256.New, api.ScopedKey("aliyun_v4"+keys.AccessKeySecret, scope), text)
	req.Header.Set("Authorization", fmt.Sprintf("SLS4-HMAC-SHA256 Credential=%s/%s,Signature=%x", keys.AccessKeyID, path, mac))
}

// signedHeaders returns the headers under the signature: the vendor's own and, in
// version 4, the host and the content type.
func signedHeaders(req *http.Request, v4 bool) (names []string, lines string) {
	values := map[string]string{}
	for name := range req.Header {
		lower := strings.ToLower(name)
		if strings.HasPrefix(lower, "x-log-") || strings.HasPrefix(lower, "x-acs-") || (v4 && lower == "content-type") {
			values[lower] = req.Header.Get(name)
		}
	}
	if v4 && req.Host != "" {
		values["host"] = req.Host
	}
	return api.CanonicalHeaders(values)
}

// sortedQuery joins the parameters of a query in the order of their names, each
// written by form.
func sortedQuery(query url.Values, form func(k, v string) string) string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(query)) {
		for _, value := range query[name] {
			pairs = append(pairs, form(name, value))
		}
	}
	return strings.Join(pairs, "&")
}
