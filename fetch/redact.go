package fetch

import (
	"net/url"
	"regexp"
	"slices"
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
// may not stand in a URL, and without the punctuation behind it, or a backslash
// that belongs to a quote.
var anyURL = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://|\?)[^\s"<>]*[^\s"<>'.,:;!)\\]`)

// Redact takes the secrets out of a text, and is the one place where that is
// done: every error and every line of a log passes it. What [Hide] was told of
// is taken out in any form. In each URL, a query that holds a secret is
// replaced by the names of its parameters, and user names and passwords are
// dropped. What else is named like a secret, in a header, or in a URL that was
// escaped, loses its value. A text that is JSON stays so.
func Redact(s string) string {
	s = anyURL.ReplaceAllStringFunc(hidden.hide(s), redactURL)
	small := strings.ToLower(s)
	for _, l := range leaks {
		if slices.ContainsFunc(l.marks, func(mark string) bool { return strings.Contains(small, mark) }) {
			s = l.pattern.ReplaceAllString(s, l.left)
		}
	}
	return s
}

// leaks are secrets in texts that are not URLs, or no longer. Each has one of
// the marks, since patterns are slow to find none. Values end where a quote
// does.
var leaks = []struct {
	marks   []string
	pattern *regexp.Regexp
	left    string
}{
	// The user name and the password of a URL that was escaped.
	{[]string{"%40", "%2540", `:\/\/`}, regexp.MustCompile(`(?i)((?:%(?:25)*3a|:)(?:(?:%(?:25)*2f){2}|(?:\\/){2}))` +
		`(?:(?:[^\s"'<>\\/@%]|%(?:25)*(?:[013-9a-f][0-9a-f]|2[0-9a-e]|4[1-9a-f]))*(?:@|%(?:25)*40))+`), "$1"},
	// A parameter, with its equals sign in any form.
	{[]string{"signature", "token", "secret", "credential", "passw", "accesskeyid", "auth_key"}, regexp.MustCompile(`(?i)` +
		`((?:oss|aws)accesskeyid|auth_key|[a-z0-9_.-]*(?:signature|token|secret|credential|passwd|password))` +
		`(?:=|%(?:25)*3d|\\+u003d|&#(?:61|x3d);)(?:[^\s"'<>&;,\\]|` + escaped + `)+`), "$1"},
	// A header, be it as it is sent, as package fmt prints it, or in JSON: of one
	// word, or of several.
	{[]string{"-token"}, regexp.MustCompile(header(`(?:x-(?:auth|subject)-token|(?:x-[a-z]+-)?security-token)`) + letter + letter + `*`), "${1}" + gone},
	{[]string{"authorization", "cookie"}, regexp.MustCompile(header(`(?:(?:proxy-)?authorization|(?:set-)?cookie)`) +
		letter + `(?:[^"\]<>\\\r\n]|` + escaped + `)*`), "${1}" + gone},
}

// header is a pattern of what stands before the value of a header.
func header(names string) string {
	return `(?im)((?:^|[\s\[{(,>]|\\[nrt])` + names + `:[ \t]*\[?(?:\\*")?|\\*"` + names + `\\*"[ \t]*[:=][ \t]*\[?\\*")`
}

const (
	escaped = `\\+u00[0-9a-f]{2}|\\/`
	letter  = `(?:[^\s"<>\]},:\\]|` + escaped + `)`
)

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
