package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"tallyman/fetch"
)

// A secret is a key, and a pattern of the forms that a service may quote it
// in.
type secret struct {
	key   string
	forms *regexp.Regexp
}

// shortest is the length from which on a key is a secret that can be told
// from other text.
const shortest = 8

func forms(keys []string) (secrets []secret) {
	for _, key := range keys {
		if len(key) >= shortest {
			secrets = append(secrets, secret{key, regexp.MustCompile(anyForm(key))})
		}
	}
	return secrets
}

// anyForm is a pattern of a key where all but letters and digits may be
// escaped: %2B, %252B, \u002b, \/ and &#43; stand for one byte.
func anyForm(key string) string {
	var b strings.Builder
	for _, c := range []byte(key) {
		if c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, `(?:\x{%02x}|%%(?:25)*(?i:%02x)|\\u00(?i:%02x)|\\\x{%02x}|&#(?:%d|(?i:x%x));)`, c, c, c, c, c, c)
		}
	}
	return b.String()
}

// Clean takes the keys and the queries of signed URLs out of a text. Services
// quote what they were sent where they refuse a signature.
func (a *Answer) Clean(s string) string {
	for _, secret := range a.secrets {
		s = secret.forms.ReplaceAllLiteralString(strings.ReplaceAll(s, secret.key, "***"), "***")
	}
	return fetch.Redact(s)
}

// Line is a text without its secrets, fit to print in one line.
func (a *Answer) Line(s string) string { return printable(a.Clean(s)) }

// anyQuery is all that may be a query in a text of unknown form, where URLs
// may be escaped so that fetch.Redact does not see them.
var anyQuery = regexp.MustCompile(`\?[^\s"'<>]*`)

const excerptLength = 100

// Excerpt is the beginning of an answer that can't be read, fit to print.
func (a *Answer) Excerpt() string {
	text := anyQuery.ReplaceAllString(a.Clean(string(a.Body)), "?")
	runes := []rune(strings.Join(strings.Fields(printable(text)), " "))
	return string(runes[:min(len(runes), excerptLength)])
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) && r != unicode.ReplacementChar {
			return r
		}
		return ' '
	}, s)
}

// Scrubbed is the answer as it came, without its secrets: nothing that could
// be a query is left in the fields of those names.
func (a *Answer) Scrubbed(urls ...string) any {
	d := json.NewDecoder(bytes.NewReader(a.Body))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return nil
	}
	return a.scrub("", v, urls)
}

func (a *Answer) scrub(name string, v any, urls []string) any {
	switch v := v.(type) {
	case map[string]any:
		clean := make(map[string]any, len(v))
		for k := range v {
			clean[a.Clean(k)] = a.scrub(k, v[k], urls)
		}
		return clean
	case []any:
		for i := range v {
			v[i] = a.scrub(name, v[i], urls)
		}
	case string:
		named := slices.ContainsFunc(urls, func(url string) bool { return strings.EqualFold(url, name) })
		if i := strings.IndexAny(v, "?#"); i >= 0 && named {
			v = v[:i]
		}
		return a.Clean(v)
	}
	return v
}
