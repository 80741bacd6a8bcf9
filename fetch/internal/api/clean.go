package api

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"tallyman/fetch/redact"
	"unicode"
)

// Clean takes the keys and the queries of signed URLs out of a text. Services
// quote what they were sent where they refuse a signature.
func (a *Answer) Clean(s string) string { return redact.Text(s) }

// Line is a text without its secrets, fit to print in one line.
func (a *Answer) Line(s string) string { return printable(a.Clean(s)) }

// anyQuery is all that may be a query in a text of unknown form, where URLs
// may be escaped so that redact.Text does not see them.
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
