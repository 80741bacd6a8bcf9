package decode

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Names gives an object's content files their names below data/ of the bag.
type Names struct {
	Object     string // the name of the object, which may be a path
	Base       string // the name that its content gets, still with the suffix of a codec
	Content    string // the type of the content that the job declares: "csv", or ""
	Only       bool   // it is the only object of its export
	KeepSuffix bool   // the suffix of the codec stays, since another object has the name without it
}

// File returns the name of the content file of an object that is no container.
// It has no suffix of a codec, since the content is decoded, and the extension
// of what it holds.
func (n Names) File() string {
	if n.KeepSuffix {
		return safeName(n.Base)
	}
	base, _ := cutCodecSuffix(n.Base)
	object, _ := cutCodecSuffix(n.Object)
	extension := path.Ext(object)
	if extension == "" && n.Content != "" {
		extension = "." + n.Content
	}
	if !strings.EqualFold(path.Ext(base), extension) {
		base += extension
	}
	return safeName(base)
}

// Entry returns the name of the content file of an entry of a container.
func (n Names) Entry(entry string) string {
	switch {
	case n.Only:
		return safeName(entry)
	case n.KeepSuffix:
		return safeName(n.Base + "/" + entry)
	}
	base, _ := cutCodecSuffix(n.Base)
	return safeName(base + "/" + entry)
}

// Wire returns the name of the file with the bytes as transferred. It has the
// suffix of the object's name, or else that of codec (as Result.Codec tells it).
func (n Names) Wire(codec string) string {
	_, suffix := cutCodecSuffix(n.Object)
	if n.KeepSuffix && suffix != "" {
		return n.File()
	}
	if suffix == "" {
		codec, _, _ = strings.Cut(codec, "+")
		for _, f := range formats {
			if f.name == codec && len(f.suffixes) > 0 {
				suffix = f.suffixes[0]
			}
		}
	}
	return n.File() + suffix
}

// maxElement is the length in bytes above which an element of a name is cut and
// hashed. File systems allow 255, and the archive adds suffixes.
const maxElement = 180

// safeName makes a name that every file system and every manifest can hold. "%",
// "\", control characters and what is not UTF-8 become "_" and two hex digits a
// byte, and so do the dots of "." and "..". Long elements are cut and get a hash.
func safeName(name string) string {
	var escaped strings.Builder
	for len(name) > 0 {
		r, n := utf8.DecodeRuneInString(name)
		if r == utf8.RuneError && n == 1 || r == '%' || r == '\\' || unicode.In(r, unsafeRunes...) {
			for _, c := range []byte(name[:n]) {
				fmt.Fprintf(&escaped, "_%02x", c)
			}
		} else {
			escaped.WriteString(name[:n])
		}
		name = name[n:]
	}
	elements := strings.Split(escaped.String(), "/")
	for i, e := range elements {
		switch {
		case e == "":
			elements[i] = "_"
		case e == "." || e == "..":
			elements[i] = strings.ReplaceAll(e, ".", "_2e")
		case len(e) > maxElement:
			sum := sha256.Sum256([]byte(e))
			head := strings.ToValidUTF8(e[:120], "") // without half a character
			elements[i] = head + "~" + hex.EncodeToString(sum[:16]) + path.Ext(e[len(e)-20:])
		}
	}
	return strings.Join(elements, "/")
}

// unsafeRunes are characters that break a line or change how others are shown.
var unsafeRunes = []*unicode.RangeTable{unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control}
