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
	"unicode"
	"unicode/utf8"
)

// maxElement is the length in bytes above which an element of a name is cut and
// hashed. File systems allow 255, and the archive adds suffixes.
const maxElement = 180

// Escape makes a name that every file system of a Unix, and every manifest of a
// bag, can hold. "%", "\", control characters, what is not UTF-8, white space at
// the end of an element and "." and ".." are escaped, and long elements are cut
// and hashed.
func Escape(name string) string {
	elements := strings.Split(name, "/")
	for i, e := range elements {
		elements[i] = escapeElement(e, func(int, rune) bool { return false })
	}
	return strings.Join(elements, "/")
}

// EscapePortable is Escape for a name that Windows must be able to hold too, and
// that no shell or command takes for anything but a file. It also escapes
// : * ? " < > |, what is not seen, a dot at the end of an element, the first
// letter of the name of a device, and "-" or "~" at the start of the name.
func EscapePortable(name string) string {
	elements := strings.Split(name, "/")
	for i, e := range elements {
		dots := len(strings.TrimRight(e, ". "))
		device := IsDevice(e)
		elements[i] = escapeElement(e, func(at int, r rune) bool {
			return strings.ContainsRune(`:*?"<>|`, r) || unicode.Is(unicode.Cf, r) || at >= dots ||
				at == 0 && (device || i == 0 && (r == '-' || r == '~'))
		})
	}
	return strings.Join(elements, "/")
}

// unsafeRunes are characters that break a line or change how others are shown.
var unsafeRunes = []*unicode.RangeTable{unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control}

// variable is what bagit-python takes for a variable of the environment, and so
// for a name that leads out of the bag, if there is such a variable.
var variable = regexp.MustCompile(`^\$(?:\{|[A-Z_][A-Z0-9_]*\b)`)

// escapeElement escapes one element of a name, and what also selects of it by
// offset and character.
func escapeElement(e string, also func(at int, r rune) bool) string {
	switch e {
	case "":
		return "_"
	case ".", "..":
		return strings.ReplaceAll(e, ".", "_2e")
	}
	blank := len(strings.TrimRightFunc(e, isBlank))
	var escaped strings.Builder
	for at, n := 0, 0; at < len(e); at += n {
		var r rune
		r, n = utf8.DecodeRuneInString(e[at:])
		isVariable := r == '$' && variable.MatchString(e[at:])
		if r == utf8.RuneError && n == 1 || r == '%' || r == '\\' || unicode.In(r, unsafeRunes...) || isVariable || at >= blank || also(at, r) {
			for _, c := range []byte(e[at : at+n]) {
				fmt.Fprintf(&escaped, "_%02x", c)
			}
		} else {
			escaped.WriteString(e[at : at+n])
		}
	}
	switch {
	case escaped.Len() > maxElement:
		return WithHash(escaped.String(), escaped.String())
	case escaped.Len() == len(e):
		return e // without a copy: there may be a million
	}
	return escaped.String()
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
