package fetch

import (
	"iter"
	"net/url"
	"path"
	"strings"

	"tallyman/fetch/internal/decode"
)

// A target is an object with the names of its content files in the bag.
type target struct {
	Object
	names decode.Names
}

// newTarget names an object's content after base.
func newTarget(object Object, base string) target {
	return target{object, decode.Names{Object: object.Name, Content: object.Content, Base: base}}
}

// onlyTarget names the only object of an export after the reference.
func onlyTarget(ref Ref, object Object) target {
	t := newTarget(object, lastSegment(ref))
	t.names.Only = true
	return t
}

// targets names each object of an export: a single one after the reference, each
// of several after itself.
func targets(ref Ref, objects iter.Seq2[Object, error]) iter.Seq2[target, error] {
	return func(yield func(target, error) bool) {
		next, stop := iter.Pull2(objects)
		defer stop()
		object, err, ok := next()
		second, secondErr, more := next()
		if ok && !more {
			yield(onlyTarget(ref, object), err)
			return
		}
		for ok {
			if !yield(newTarget(object, object.Name), err) {
				return
			}
			object, err, ok = second, secondErr, more
			second, secondErr, more = next()
		}
	}
}

// lastSegment returns the last part of a reference, without the directories of a
// path and the query of a URL.
func lastSegment(ref Ref) string {
	parts := ref.Parts()
	last, _, _ := strings.Cut(parts[len(parts)-1], "?")
	if ref.Scheme() == "https" || ref.Scheme() == "http" {
		if unescaped, err := url.PathUnescape(last); err == nil {
			last = unescaped
		}
	}
	last = path.Base("/" + strings.TrimRight(last, "/"))
	if last == "/" {
		return parts[0]
	}
	return last
}
