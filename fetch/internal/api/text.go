package api

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"

	"tallyman/fetch/redact"
)

// OneLine returns a service's text without secrets and fit for one line of a
// terminal. Services quote what they were sent when they refuse a signature.
func OneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) && r != unicode.ReplacementChar {
			return r
		}
		return ' '
	}, redact.Text(s))
}

// anyQuery matches all that may be a query in a text of unknown form, where URLs
// may be escaped in a way that redact.Text does not recognize.
var anyQuery = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\?[^\s"'<>]*`) })

const excerptLength = 100

// Excerpt returns the beginning of an answer that can't be read, for an error.
func (a *Answer) Excerpt() string {
	text := anyQuery().ReplaceAllString(redact.Text(string(a.Body)), "?")
	runes := []rune(strings.Join(strings.Fields(OneLine(text)), " "))
	return string(runes[:min(len(runes), excerptLength)])
}

// Scrubbed returns the answer's JSON value without secrets, for a receipt. Of
// the fields with the given names, which hold URLs, it also cuts the query. It
// returns nil if the answer is not JSON.
func (a *Answer) Scrubbed(urlFields ...string) any {
	d := json.NewDecoder(bytes.NewReader(a.Body))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return nil
	}
	return scrub("", v, urlFields)
}

func scrub(field string, v any, urlFields []string) any {
	switch v := v.(type) {
	case map[string]any:
		clean := make(map[string]any, len(v))
		for k := range v {
			clean[redact.Text(k)] = scrub(k, v[k], urlFields)
		}
		return clean
	case []any:
		for i := range v {
			v[i] = scrub(field, v[i], urlFields)
		}
	case string:
		isURL := slices.ContainsFunc(urlFields, func(name string) bool { return strings.EqualFold(name, field) })
		if i := strings.IndexAny(v, "?#"); i >= 0 && isURL {
			v = v[:i]
		}
		return redact.Text(v)
	}
	return v
}
