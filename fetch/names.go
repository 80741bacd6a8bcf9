package fetch

import (
	"fmt"
	"iter"
	"net/url"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A named object is one whose content has a name below data/ of its bag, but
// for the extension where only the content can tell it.
type named struct {
	Object
	base     string
	only     bool // it is the only object of its export
	suffixed bool // the suffix of its codec stays, to tell it from another
}

// nameAll gives each object of an export its place in the bag: the only one is
// named after the reference, and of several each keeps its own name.
func nameAll(ref Ref, objects iter.Seq2[Object, error]) iter.Seq2[named, error] {
	return func(yield func(named, error) bool) {
		next, stop := iter.Pull2(objects)
		defer stop()
		object, err, ok := next()
		more, moreErr, any := next()
		if ok && !any {
			yield(named{Object: object, base: lastSegment(ref), only: true}, err)
			return
		}
		for ok {
			if !yield(named{Object: object, base: object.Name}, err) {
				return
			}
			object, err, ok = more, moreErr, any
			more, moreErr, any = next()
		}
	}
}

// lastSegment is the last part of a reference, without the directories of a
// path or the query of a URL.
func lastSegment(ref Ref) string {
	parts := ref.Parts()
	last, _, _ := strings.Cut(parts[len(parts)-1], "?")
	if ref.Scheme() == "https" || ref.Scheme() == "http" {
		if plain, err := url.PathUnescape(last); err == nil {
			last = plain
		}
	}
	last = path.Base("/" + strings.TrimRight(last, "/"))
	if last == "/" {
		return parts[0]
	}
	return last
}

// file is the name of the object's content in the bag: without the suffix of a
// codec, since the content is decoded, and with the extension that tells what
// it holds.
func (o named) file() string {
	if o.suffixed {
		return safeName(o.base)
	}
	base := withoutCodec(o.base)
	extension := path.Ext(withoutCodec(o.Name))
	if extension == "" && o.Content != "" {
		extension = "." + o.Content
	}
	if !strings.EqualFold(path.Ext(base), extension) {
		base += extension
	}
	return safeName(base)
}

// entry is the name of the content of a container's entry.
func (o named) entry(name string) string {
	switch {
	case o.only:
		return safeName(name)
	case o.suffixed:
		return safeName(o.base + "/" + name)
	}
	return safeName(withoutCodec(o.base) + "/" + name)
}

// wireFile is the name of the object's bytes as transferred: with the suffix
// that its own name has, or else that of the codec they turned out to be in.
func (o named) wireFile(codec string) string {
	suffix := strings.TrimPrefix(o.Name, withoutCodec(o.Name))
	switch {
	case suffix == "":
		return o.file() + suffixOf(codec)
	case o.suffixed:
		return o.file()
	}
	return o.file() + suffix
}

func withoutCodec(name string) string {
	extension := path.Ext(name)
	if len(extension) < len(path.Base(name)) && slices.Contains(codecSuffixes, strings.ToLower(extension)) {
		return strings.TrimSuffix(name, extension)
	}
	return name
}

// safeName makes a name that any file system and any manifest can hold as it
// is: a percent sign, a backslash, and what is not shown or not UTF-8 become _
// and the hex digits of each byte, and elements that mean a place are escaped
// likewise.
func safeName(name string) string {
	elements := strings.Split(escapeUnsafe(name), "/")
	for i, e := range elements {
		switch {
		case e == "":
			elements[i] = "_"
		case e == "." || e == "..":
			elements[i] = strings.ReplaceAll(e, ".", "_2e")
		case len(e) > longSegment:
			head := strings.ToValidUTF8(e[:120], "") // without half a character
			elements[i] = head + "~" + hash32(e) + path.Ext(e[len(e)-20:])
		}
	}
	return strings.Join(elements, "/")
}

func escapeUnsafe(name string) string {
	var b strings.Builder
	for len(name) > 0 {
		r, n := utf8.DecodeRuneInString(name)
		if r == utf8.RuneError && n == 1 || r == '%' || r == '\\' || unicode.In(r, unshown...) {
			for _, c := range []byte(name[:n]) {
				fmt.Fprintf(&b, "_%02x", c)
			}
		} else {
			b.WriteString(name[:n])
		}
		name = name[n:]
	}
	return b.String()
}

// unshown are the characters that break a line, or change how others are
// shown.
var unshown = []*unicode.RangeTable{unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control}
