package redact

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"
)

// mask replaces a secret.
const mask = "***"

// The limits of the set of known secrets.
const (
	minLength     = 8   // bytes of a secret
	minWordLength = 16  // bytes of a secret of small letters only, or of digits only
	keptFirst     = 64  // secrets that are kept for good
	keptLast      = 128 // later secrets that are kept until newer ones replace them
)

// known is the set of the process's secrets.
var known struct {
	mu    sync.RWMutex
	order []string       // as they were added
	set   []*knownSecret // the longest first, since one may be the start of another; never changed in place
}

// A knownSecret finds one secret in texts.
type knownSecret struct {
	secret  string
	marks   []string              // a text without any of them does not contain the secret
	pattern func() *regexp.Regexp // all forms of the secret; compiled at the first use
}

// Add makes secrets known to the process: keys, tokens and passwords. From then
// on, [Text] and [Known] mask them wherever they appear: as they are, escaped
// for a URL, JSON, HTML or a Go string (also several times over), or as part of
// a text in Base64.
//
// Secrets that can't be told from ordinary text are ignored: those under 8
// bytes, and those under 16 bytes that are small letters only, or digits only.
// The first 64 secrets are kept for good. Of later ones the newest 128 are kept,
// since tokens are renewed.
//
// Add may be called by many goroutines at once.
func Add(secrets ...string) {
	known.mu.Lock()
	defer known.mu.Unlock()
	for _, secret := range secrets {
		isWord := !strings.ContainsFunc(secret, func(r rune) bool { return !unicode.IsLower(r) })
		isNumber := !strings.ContainsFunc(secret, func(r rune) bool { return !unicode.IsDigit(r) })
		isOrdinary := len(secret) < minLength || len(secret) < minWordLength && (isWord || isNumber)
		if isOrdinary || slices.Contains(known.order, secret) {
			continue
		}
		set := append(slices.Clone(known.set), newKnownSecret(secret))
		known.order = append(known.order, secret)
		if len(known.order) > keptFirst+keptLast {
			oldest := known.order[keptFirst]
			known.order = slices.Delete(known.order, keptFirst, keptFirst+1)
			set = slices.DeleteFunc(set, func(k *knownSecret) bool { return k.secret == oldest })
		}
		slices.SortStableFunc(set, func(a, b *knownSecret) int { return len(b.secret) - len(a.secret) })
		known.set = set
	}
}

// AddQuery adds the secrets in the query of a URL that are usable without the
// rest of it: signatures, tokens and passwords. The query is without its "?".
func AddQuery(query string) {
	for _, parameter := range parameters(query) {
		name, value, _ := strings.Cut(parameter, "=")
		if unescaped, err := url.QueryUnescape(value); err == nil && credentialNames().MatchString(name) {
			Add(unescaped)
		}
	}
}

// credentialNames are the parameters whose values are secrets by themselves.
var credentialNames = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?i)(signature|token|auth_key|password|secret)$`) })

// Known replaces known secrets in a text by "***", and changes nothing else. It
// is meant for output that programs read. See [Add] for which secrets are known.
//
// Known may be called by many goroutines at once.
func Known(s string) string {
	known.mu.RLock()
	set := known.set
	known.mu.RUnlock()
	for _, k := range set {
		if slices.ContainsFunc(k.marks, func(mark string) bool { return strings.Contains(s, mark) }) {
			s = k.pattern().ReplaceAllLiteralString(strings.ReplaceAll(s, k.secret, mask), mask)
		}
	}
	return s
}

// alphanumeric are the letters and digits that no escaping changes.
const alphanumeric = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// htmlEntities are the bytes that HTML has names for.
var htmlEntities = map[byte]string{'&': "amp", '<': "lt", '>': "gt", '"': "quot", '\'': "apos"}

// newKnownSecret prepares the pattern of a secret. Every byte but letters and
// digits may be escaped in a text: %2B, %252B, \u002b, \x2b, \/ and &#43; stand
// for one byte. A quote that is quoted again has more backslashes.
func newKnownSecret(secret string) *knownSecret {
	k := &knownSecret{secret: secret}
	var texts []string
	// In the Base64 of a longer text there are three forms of it, since Base64 encodes
	// three bytes at a time: the form depends on how many bytes are before the secret.
	for before, shared := range []int{0, 2, 3} { // letters that also hold bits of the bytes before
		text := append(make([]byte, before), secret...)
		end := len(text) * 8 / 6 // the letter behind may also hold bits of what follows
		for _, alphabet := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			if form := alphabet.EncodeToString(text)[shared:end]; !slices.Contains(texts, form) {
				texts = append(texts, form)
			}
		}
	}
	var patterns []string
	for _, text := range append(texts, secret) {
		mark := "" // the longest part that no escaping changes
		for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return !strings.ContainsRune(alphanumeric, r) }) {
			if len(part) > len(mark) {
				mark = part
			}
		}
		k.marks = append(k.marks, mark)
		var pattern strings.Builder
		for _, c := range []byte(text) {
			if strings.IndexByte(alphanumeric, c) >= 0 {
				pattern.WriteByte(c)
				continue
			}
			fmt.Fprintf(&pattern, `(?:\x{%02x}|%%(?:25)*(?i:%02x)|\\+(?:u00|x)(?i:%02x)|\\+\x{%02x}|&#(?:%d|(?i:x%x));`, c, c, c, c, c, c)
			if name, ok := htmlEntities[c]; ok {
				pattern.WriteString("|&(?:amp;)*" + name + ";")
			}
			pattern.WriteString(")")
		}
		patterns = append(patterns, pattern.String())
	}
	k.pattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(strings.Join(patterns, "|")) })
	return k
}
