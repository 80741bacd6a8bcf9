// Package redact takes secrets out of texts. Every error, log line and report
// passes through it before anyone can read it. It imports the standard library
// only, so that every package can use it.
//
// Its words:
//
//   - A secret is a key, a token, a password, or a part of a signed URL.
//   - A known secret was given to [Add] or [AddQuery]. It is masked wherever it
//     appears, however it is escaped.
//   - A mask is what replaces a secret: "***", or nothing where the name of the
//     parameter is left.
//   - A signed URL carries the permission to read in its query: whoever has the
//     URL can read the object.
//
// [Text] is for what people read: it masks known secrets and whatever looks
// like one. [Known] is for what programs read: it masks known secrets and
// changes nothing else.
package redact

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Text masks the secrets in a text. It is meant for errors, logs and reports.
//
// Known secrets become "***" in every form (see [Add]). In each URL, a query
// that holds a secret is replaced by the names of its parameters, and the user
// name and the password are dropped. Values that are named like a secret lose
// their value too, in headers and in URLs that are escaped. JSON stays valid
// JSON. Text applied to its own result changes nothing.
//
// Text may be called by many goroutines at once.
func Text(s string) string {
	s = urlPattern().ReplaceAllStringFunc(Known(s), URL)
	lower := strings.ToLower(s)
	for i, l := range leaks {
		if slices.ContainsFunc(l.marks, func(mark string) bool { return strings.Contains(lower, mark) }) {
			s = leakPatterns()[i].ReplaceAllString(s, l.replacement)
		}
	}
	return s
}

// urlPattern matches a URL, or a query without one. The match ends before a
// character that no URL contains. It leaves out punctuation at the end, and a
// backslash that belongs to a quote.
var urlPattern = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://|\?)[^\s"<>]*[^\s"<>'.,:;!)\\]`)
})

// leaks are patterns of secrets outside of URLs, or in URLs that are escaped.
// The patterns are slow, so each is only tried on texts that contain one of its
// marks. A value ends at a quote.
var leaks = []struct {
	marks       []string // in lower case
	pattern     string
	replacement string
}{
	// The user name and the password of an escaped URL.
	{[]string{"%40", "%2540", `:\/\/`}, `(?i)((?:%(?:25)*3a|:)(?:(?:%(?:25)*2f){2}|(?:\\/){2}))` +
		`(?:(?:[^\s"'<>\\/@%]|%(?:25)*(?:[013-9a-f][0-9a-f]|2[0-9a-e]|4[1-9a-f]))*(?:@|%(?:25)*40))+`, "$1"},
	// A parameter of a query. Its equals sign may be escaped.
	{[]string{"signature", "token", "secret", "credential", "passw", "accesskeyid", "auth_key"}, `(?i)` +
		`((?:oss|aws)accesskeyid|auth_key|[a-z0-9_.-]*(?:signature|token|secret|credential|passwd|password))` +
		`(?:=|%(?:25)*3d|\\+u003d|&#(?:61|x3d);)(?:[^\s"'<>&;,\\]|` + escapedInJSON + `)+`, "$1"},
	// A header, as it is sent, as package fmt prints it, or in JSON. The value of
	// a token is one word; that of an authorization or a cookie may be several.
	{[]string{"-token"}, headerStart + tokenHeaders + headerSent + tokenHeaders + headerInJSON +
		valueByte + valueByte + `*`, "${1}" + mask},
	{[]string{"authorization", "cookie"}, headerStart + loginHeaders + headerSent + loginHeaders + headerInJSON +
		valueByte + `(?:[^"\]<>\\\r\n]|` + escapedInJSON + `)*`, "${1}" + mask},
}

// leakPatterns are those of leaks, in their order. They take milliseconds to compile,
// and few processes meet a mark.
var leakPatterns = sync.OnceValue(func() (all []*regexp.Regexp) {
	for _, l := range leaks {
		all = append(all, regexp.MustCompile(l.pattern))
	}
	return all
})

const (
	tokenHeaders = `(?:x-(?:auth|subject)-token|(?:x-[a-z]+-)?security-token)`
	loginHeaders = `(?:(?:proxy-)?authorization|(?:set-)?cookie)`

	// A header's name stands between headerStart and headerSent, or between
	// headerSent and headerInJSON. The value follows headerInJSON in both cases.
	headerStart  = `(?im)((?:^|[\s\[{(,>]|\\[nrt])`
	headerSent   = `:[ \t]*\[?(?:\\*")?|\\*"`
	headerInJSON = `\\*"[ \t]*[:=][ \t]*\[?\\*")`

	escapedInJSON = `\\+u00[0-9a-f]{2}|\\/`
	valueByte     = `(?:[^\s"<>\]},:\\]|` + escapedInJSON + `)`
)

// URL redacts a text that is a single URL, or the query of one. It drops the
// user name and the password. A query with a secret is replaced by the names of
// its parameters. If the end of the password can't be told, only the scheme is
// left.
func URL(s string) string {
	address, query := s, ""
	if i := strings.IndexAny(s, "?#"); i >= 0 {
		address, query = s[:i], s[i:]
	}
	if scheme, rest, ok := strings.Cut(address, "://"); ok {
		host, path, slash := strings.Cut(rest, "/")
		host = host[strings.LastIndexByte(host, '@')+1:]
		if !hostPattern().MatchString(host) {
			return scheme + "://…"
		}
		address = scheme + "://" + host
		if slash {
			address += "/" + path
		}
	}
	if !SecretQuery(query) {
		return address + query
	}
	var names []string
	for _, parameter := range parameters(query) {
		if name, _, ok := strings.Cut(parameter, "="); ok {
			names = append(names, name)
		}
	}
	return address + query[:1] + strings.Join(names, "&")
}

// hostPattern matches a host with its port, or several. A text that does not
// match is the start of a password with a slash, a question mark or a number
// sign in it.
var hostPattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^((\[[^\]]*\]|[^\[\]:]*)(:[0-9]*)?(,|$))+$`) })

// SecretQuery reports whether a query holds a secret, either as a parameter or
// in a URL that is the value of one. A query that can't be parsed counts as
// secret.
func SecretQuery(query string) bool {
	for _, parameter := range parameters(query) {
		name, value, ok := strings.Cut(parameter, "=")
		if !ok {
			continue
		}
		name, nameErr := url.QueryUnescape(name)
		value, valueErr := url.QueryUnescape(value)
		if nameErr != nil || valueErr != nil || secretNames().MatchString(name) {
			return true
		}
		if _, inner, ok := strings.Cut(value, "?"); ok && SecretQuery(inner) {
			return true
		}
	}
	return false
}

// secretNames are the parameters of signed URLs (OSS V1, V2 and V4, OBS, S3,
// content networks), and common names for tokens and passwords.
var secretNames = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)^(sig|sign|auth|auth[_-]?(key|info)|authorization|expires|policy|passwd|pwd|key-pair-id|api_?key|access_?key|(oss|aws)?accesskeyid|x-(oss|obs|amz|goog)-.*|.*(signature|token|secret|credential|password))$`)
})

// parameters splits a query and its fragment at more characters than servers
// do, so that a secret is found wherever it is.
func parameters(query string) []string {
	query = strings.ReplaceAll(query, `\u0026`, "&") // as encoding/json writes it
	return strings.FieldsFunc(query, func(r rune) bool { return strings.ContainsRune("?#&;", r) })
}
