// Package filename makes file names out of the names that objects and entries of
// containers have elsewhere.
//
// What can't stand in a name becomes "_" and two hex digits for each byte, and an
// empty element becomes "_". So two names may become one: whoever needs different
// ones asks for [WithHash].
package filename

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"regexp"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// maxElement is the length in bytes above which an element of a name is cut and
// hashed. File systems allow 255, and the archive adds suffixes.
const maxElement = 180

// A Reach says where a name must work.
type Reach int

// The reaches.
const (
	Unix       Reach = iota // every file system of a Unix, and every manifest of a bag
	Everywhere              // Windows too, and shells and commands, which take it for nothing but a file
)

// Escape makes a name that can be held everywhere in a reach. "%", "\", control
// characters, what is not UTF-8, white space at the end of an element and "." and
// ".." are escaped, and long elements are cut and hashed. For Everywhere so are
// : * ? " < > |, what is not seen, a dot at the end of an element, the first
// letter of the name of a device, and "-" or "~" at the start of the name.
func Escape(name string, reach Reach) string {
	var escaped strings.Builder
	escaped.Grow(len(name))
	for i := 0; ; i++ {
		element, rest, more := strings.Cut(name, "/")
		escaped.WriteString(escapeElement(element, reach == Everywhere, i == 0))
		if !more {
			return escaped.String()
		}
		escaped.WriteByte('/')
		name = rest
	}
}

// unsafeRunes are characters that break a line or change how others are shown.
var unsafeRunes = []*unicode.RangeTable{unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control}

// variable is what bagit-python takes for a variable of the environment, and so
// for a name that leads out of the bag, if there is such a variable.
var variable = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^\$(?:\{|[A-Z_][A-Z0-9_]*\b)`) })

// escapeElement escapes one element of a name, which may be the first.
func escapeElement(e string, portable, first bool) string {
	switch e {
	case "":
		return "_"
	case ".", "..":
		return strings.ReplaceAll(e, ".", "_2e")
	}
	end := len(strings.TrimRightFunc(e, isBlank))
	isStartUnsafe := false
	if portable {
		end = min(end, len(strings.TrimRight(e, ". ")))
		isStartUnsafe = IsDevice(e) || first && (e[0] == '-' || e[0] == '~')
	}
	var escaped strings.Builder // empty up to the first that is escaped
	for at, n := 0, 0; at < len(e); at += n {
		var r rune
		r, n = utf8.DecodeRuneInString(e[at:])
		switch {
		case r == utf8.RuneError && n == 1, r == '%', r == '\\', r == '$' && variable().MatchString(e[at:]), unicode.In(r, unsafeRunes...),
			at >= end, at == 0 && isStartUnsafe, portable && (strings.ContainsRune(`:*?"<>|`, r) || unicode.Is(unicode.Cf, r)):
			if escaped.Len() == 0 {
				escaped.WriteString(e[:at])
			}
			for _, c := range []byte(e[at : at+n]) {
				fmt.Fprintf(&escaped, "_%02x", c)
			}
		case escaped.Len() > 0:
			escaped.WriteString(e[at : at+n])
		}
	}
	if escaped.Len() > 0 {
		e = escaped.String()
	}
	if len(e) > maxElement {
		return WithHash(e, e)
	}
	return e
}

// isBlank reports whether some reader of a manifest drops the character at the
// end of a line. U+180E was white space once, and U+FEFF is to JavaScript.
func isBlank(r rune) bool { return unicode.IsSpace(r) || r == '\u180e' || r == '\ufeff' }

// WithHash returns an element of a name with a hash of text in front of its
// extension. A long element is cut.
func WithHash(element, text string) string {
	extension := path.Ext(element[max(0, len(element)-20):])
	stem := strings.TrimSuffix(element, extension)
	if stem == "" {
		stem, extension = extension, ""
	}
	if len(stem) > 120 {
		stem = strings.ToValidUTF8(stem[:120], "") // without half a character
	}
	sum := sha256.Sum256([]byte(text))
	return stem + "~" + hex.EncodeToString(sum[:16]) + extension
}

// IsDevice reports whether Windows takes an element of a name for a device. It
// does so in every directory, with every extension and in either case.
func IsDevice(e string) bool {
	base, _, _ := strings.Cut(e, ".")
	base = strings.ToUpper(strings.TrimRight(base, " "))
	switch base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	digit, port := strings.CutPrefix(base, "COM")
	if !port {
		digit, port = strings.CutPrefix(base, "LPT")
	}
	return port && utf8.RuneCountInString(digit) == 1 && strings.Contains("0123456789¹²³", digit)
}
