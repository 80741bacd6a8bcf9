package fetch

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unicode"
)

// Hide makes secrets known to the process, that [Redact] takes out of every
// text from then on, in whatever form they are quoted: keys, tokens and
// passwords, from wherever they are read. What can't be told from other text
// stays: it is shorter than 8 bytes, or than 16 and a word of small letters, or
// a number. The first 64 are known for good, of others the last 128: tokens are
// renewed.
func Hide(secrets ...string) {
	for _, secret := range secrets {
		if distinct(secret) && !hidden.has(secret) {
			hidden.add(secret)
		}
	}
}

// WithoutHidden takes out of a text what Hide was told of, and nothing else: for
// what programs read, where all else must stay as it is.
func WithoutHidden(s string) string { return hidden.hide(s) }

// HideQuery hides what is secret by itself in the query of a URL, which may be
// quoted without the rest.
func HideQuery(query string) {
	for _, parameter := range parameters(query) {
		name, value, _ := strings.Cut(parameter, "=")
		if unescaped, err := url.QueryUnescape(value); err == nil && proofNames.MatchString(name) {
			Hide(unescaped)
		}
	}
}

// proofNames are the parameters whose values are as good as the URL.
var proofNames = regexp.MustCompile(`(?i)(signature|token|auth_key|password|secret)$`)

const (
	shortest   = 8  // bytes of a secret
	longWord   = 16 // bytes of one that is small letters alone, or digits
	knownFirst = 64
	knownLast  = 128
)

// distinct reports whether a secret can be told from other text.
func distinct(secret string) bool {
	if len(secret) < longWord {
		only := func(is func(rune) bool) bool {
			return !strings.ContainsFunc(secret, func(r rune) bool { return !is(r) })
		}
		return len(secret) >= shortest && !only(unicode.IsLower) && !only(unicode.IsDigit)
	}
	return true
}

// A trove is the secrets that are known. Many goroutines use it at once.
type trove struct {
	mu    sync.Mutex               // of those that add
	order []string                 // as they came
	all   atomic.Pointer[[]*quote] // the longest first: one may be the start of another
}

var hidden trove

func (t *trove) quotes() []*quote {
	if all := t.all.Load(); all != nil {
		return *all
	}
	return nil
}

func (t *trove) has(secret string) bool {
	return slices.ContainsFunc(t.quotes(), func(q *quote) bool { return q.secret == secret })
}

func (t *trove) add(secret string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.has(secret) {
		return
	}
	all := append(slices.Clone(t.quotes()), newQuote(secret))
	t.order = append(t.order, secret)
	if len(t.order) > knownFirst+knownLast {
		oldest := t.order[knownFirst]
		t.order = slices.Delete(t.order, knownFirst, knownFirst+1)
		all = slices.DeleteFunc(all, func(q *quote) bool { return q.secret == oldest })
	}
	slices.SortStableFunc(all, func(p, q *quote) int { return len(q.secret) - len(p.secret) })
	t.all.Store(&all)
}

// hide takes what is known out of a text.
func (t *trove) hide(s string) string {
	for _, q := range t.quotes() {
		s = q.hide(s)
	}
	return s
}

// A quote knows the forms in which a secret may be quoted.
type quote struct {
	secret string
	marks  []string // a part of each form that no escaping changes; "" is of any text
	forms  func() *regexp.Regexp
}

func newQuote(secret string) *quote {
	q := &quote{secret: secret}
	var patterns []string
	for _, text := range append(inBase64(secret), secret) {
		q.marks = append(q.marks, longestPlain(text))
		patterns = append(patterns, anyForm(text))
	}
	q.forms = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(strings.Join(patterns, "|")) })
	return q
}

// gone is what stands for a secret.
const gone = "***"

func (q *quote) hide(s string) string {
	if !slices.ContainsFunc(q.marks, func(mark string) bool { return strings.Contains(s, mark) }) {
		return s
	}
	return q.forms().ReplaceAllLiteralString(strings.ReplaceAll(s, q.secret, gone), gone)
}

// inBase64 are the forms that a secret has in the Base64 of a longer text: they
// depend on how many bytes stand before it, three of which make four. Of the
// alphabet for URLs there are forms too, where they differ.
func inBase64(secret string) (forms []string) {
	for before, mixed := range []int{0, 2, 3} { // so many letters hold bits of what stands before
		text := make([]byte, before, before+len(secret))
		text = append(text, secret...)
		whole := len(text) * 8 / 6
		for _, alphabet := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			if form := alphabet.EncodeToString(text)[mixed:whole]; !slices.Contains(forms, form) {
				forms = append(forms, form)
			}
		}
	}
	return forms
}

// longestPlain is the longest part of a text that is letters and digits.
func longestPlain(text string) (longest string) {
	for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return r > unicode.MaxASCII || !isPlain(byte(r)) }) {
		if len(part) > len(longest) {
			longest = part
		}
	}
	return longest
}

func isPlain(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// entities are the bytes that have names in HTML.
var entities = map[byte]string{'&': "amp", '<': "lt", '>': "gt", '"': "quot", '\'': "apos"}

// anyForm is a pattern of a text where all but letters and digits may be
// escaped: %2B, %252B, \u002b, \x2b, \/ and &#43; stand for one byte, and
// quoting a quote makes more backslashes.
func anyForm(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		if isPlain(c) {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, `(?:\x{%02x}|%%(?:25)*(?i:%02x)|\\+(?:u00|x)(?i:%02x)|\\+\x{%02x}|&#(?:%d|(?i:x%x));`, c, c, c, c, c, c)
		if name, ok := entities[c]; ok {
			b.WriteString("|&(?:amp;)*" + name + ";")
		}
		b.WriteString(")")
	}
	return b.String()
}
