package fetch

import (
	"net/url"
	"regexp"
	"strings"
)

// secretNames are the query parameters that make a URL a secret: those of
// signed URLs of OSS (V1, V2, V4), OBS, S3, content networks and their like,
// and what people call a token.
var secretNames = regexp.MustCompile(`(?i)^(sig|sign|auth|auth[_-]?(key|info)|authorization|expires|policy|passwd|pwd|key-pair-id|api_?key|access_?key|(oss|aws)?accesskeyid|x-(oss|obs|amz|goog)-.*|.*(signature|token|secret|credential|password))$`)

// secretQuery reports whether a query holds a secret, be it in a URL that is
// the value of a parameter. A query that can't be read may hold one.
func secretQuery(query string) bool {
	for _, parameter := range parameters(query) {
		name, value, ok := strings.Cut(parameter, "=")
		if !ok {
			continue
		}
		name, nameErr := url.QueryUnescape(name)
		value, valueErr := url.QueryUnescape(value)
		if nameErr != nil || valueErr != nil || secretNames.MatchString(name) {
			return true
		}
		if _, inner, ok := strings.Cut(value, "?"); ok && secretQuery(inner) {
			return true
		}
	}
	return false
}

// parameters divides a query, and what stands behind it, more eagerly than
// servers do: a secret must show wherever it stands.
func parameters(query string) []string {
	query = strings.ReplaceAll(query, `\u0026`, "&") // as encoding/json writes it
	return strings.FieldsFunc(query, func(r rune) bool { return strings.ContainsRune("?#&;", r) })
}

// anyURL matches a URL, or its query where the rest is not there: up to what
// may not stand in a URL, and without the punctuation behind it.
var anyURL = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://|\?)[^\s"<>]*[^\s"<>'.,:;!)]`)

// Redact takes the secrets out of a text: in each URL in it, a query that
// holds one is replaced by the names of its parameters, and user names and
// passwords are dropped.
func Redact(s string) string { return anyURL.ReplaceAllStringFunc(s, redactURL) }

// redactURL redacts a text that is one URL, or the query of one.
func redactURL(s string) string {
	address, query := s, ""
	if i := strings.IndexAny(s, "?#"); i >= 0 {
		address, query = s[:i], s[i:]
	}
	address, ok := dropUser(address)
	if !ok {
		return address
	}
	if secretQuery(query) {
		query = query[:1] + strings.Join(names(query), "&")
	}
	return address + query
}

// dropUser drops the user name and the password. It is not ok if they run on
// behind the address: what it returns then is all that may be shown.
func dropUser(address string) (string, bool) {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		return address, true
	}
	host, path, slash := strings.Cut(rest, "/")
	host = host[strings.LastIndexByte(host, '@')+1:]
	if !hosts.MatchString(host) {
		return scheme + "://…", false
	}
	if slash {
		path = "/" + path
	}
	return scheme + "://" + host + path, true
}

// hosts matches one host and its port, or several. What does not match is the
// start of a password that holds a slash, a question mark or a number sign.
var hosts = regexp.MustCompile(`^((\[[^\]]*\]|[^\[\]:]*)(:[0-9]*)?(,|$))+$`)

// names are those of a query's parameters that have a value.
func names(query string) []string {
	var names []string
	for _, parameter := range parameters(query) {
		if name, _, ok := strings.Cut(parameter, "="); ok {
			names = append(names, name)
		}
	}
	return names
}
