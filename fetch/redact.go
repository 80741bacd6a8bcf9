package fetch

import (
	"net/url"
	"regexp"
	"sort"
	"strings"
)

// secretNames are the query parameters that make a URL a secret: those of
// signed URLs of OSS (V1, V2, V4), OBS, S3 and their like, and what people
// call a token.
var secretNames = regexp.MustCompile(`(?i)^(sig|sign|auth|authorization|expires|policy|password|passwd|pwd|key-pair-id|api_?key|access_?key|(oss|aws)?accesskeyid|x-(oss|obs|amz|goog)-.*|.*(signature|token|secret|credential))$`)

// secretQuery reports whether a query holds a secret. One that can't be read
// may.
func secretQuery(query string) bool {
	values, err := url.ParseQuery(query)
	if err != nil {
		return true
	}
	for name := range values {
		if secretNames.MatchString(name) {
			return true
		}
	}
	return false
}

var anyURL = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s"'<>]+`)

// Redact takes the secrets out of a text: the query of each URL in it is
// replaced by the names of its parameters, and user names and passwords are
// dropped.
func Redact(s string) string { return anyURL.ReplaceAllStringFunc(s, redactURL) }

func redactURL(s string) string {
	s, fragment, _ := strings.Cut(s, "#")
	path, query, found := strings.Cut(s, "?")
	scheme, rest, _ := strings.Cut(path, "://")
	host, _, _ := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(host, '@'); at >= 0 {
		path = scheme + "://" + rest[at+1:]
	}
	switch {
	case secretQuery(query):
		path += "?" + strings.Join(names(query), "&")
	case found:
		path += "?" + query
	}
	if fragment != "" {
		path += "#" + fragment
	}
	return path
}

// names are those of a query's parameters, as far as it can be read.
func names(query string) []string {
	values, _ := url.ParseQuery(query)
	var names []string
	for name := range values {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}
