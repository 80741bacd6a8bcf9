package obs

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"unicode"

	"tallyman/fetch"
	"tallyman/fetch/internal/api"
	"tallyman/fetch/web"
	"tallyman/verify"
)

// A Selection is the objects of a bucket under a prefix.
type Selection struct {
	Region string // "" is the Store's
	Bucket string
	Prefix string // "" is all of the bucket

	// Hint is what to do where the bucket turns out to be in another region,
	// which it calls REGION. "" is to name that in the reference.
	Hint string
}

// String is where the objects are, as a reference would name it.
func (in Selection) String() string { return "obs://" + in.Bucket + "/" + printable(in.Prefix) }

// directory is what the names of objects leave out of their keys: the prefix
// up to its last slash.
func (in Selection) directory() string { return in.Prefix[:strings.LastIndexByte(in.Prefix, '/')+1] }

// Objects lists the objects, page by page as they are ranged over, and anew
// each time. An object's name is its key below the last slash of the prefix:
// "a/b.csv" of the key e/a/b.csv where the prefix is e/ or e/a, and so the last
// element of the key where the prefix is that. Placeholders of directories,
// which end in a slash and are empty, are left out. None at all is an
// ErrNotFound.
//
// The ETag of a listing names a version only, as a weak one: whether it is a
// hash of the bytes is known once they are asked for, by the headers that tell
// of encryption. Nor does a listing tell whether an archived object has been
// restored, so one that was not is refused when it is read.
func (s *Store) Objects(ctx context.Context, in Selection) iter.Seq2[fetch.Object, error] {
	return func(yield func(fetch.Object, error) bool) {
		at, err := s.where(in.Region, in.Bucket)
		if err != nil {
			yield(fetch.Object{}, fmt.Errorf("list %s: %w", in, err))
			return
		}
		at.hint = in.Hint
		l := &listing{Selection: in, store: s, at: at}
		none := true
		for e, err := range l.entries(ctx) {
			none = false
			if err != nil {
				yield(fetch.Object{}, err)
				return
			}
			if !yield(l.object(e), nil) {
				return
			}
		}
		if none {
			yield(fetch.Object{}, l.nothing())
		}
	}
}

// A listing is a Selection that is being listed.
type listing struct {
	Selection
	store *Store
	at    *place
}

func (l *listing) object(e entry) fetch.Object {
	return fetch.Object{
		Name:   e.Key[len(l.directory()):],
		Want:   verify.Want{Size: e.Size, ETag: web.Weak(e.ETag)},
		Source: &source{store: l.store, at: l.at, key: e.Key, etag: e.ETag},
	}
}

func (l *listing) nothing() error {
	said := fmt.Sprintf("bucket %s has no object with the prefix %q", l.Bucket, l.Prefix)
	return &fetch.CallError{Call: l.call(), Message: said, Kind: fetch.ErrNotFound}
}

func (l *listing) call() string { return "ListObjects " + l.String() }

// entries are those of page after page, but for placeholders.
func (l *listing) entries(ctx context.Context) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		var course api.Course
		for marker := ""; ; {
			p, err := l.page(ctx, marker)
			if err != nil {
				yield(entry{}, err)
				return
			}
			for _, e := range p.Contents {
				if !e.placeholder() && !yield(e, nil) {
					return
				}
			}
			if !p.IsTruncated {
				return
			}
			marker = p.NextMarker
			if why := course.GoOn(len(p.Contents), marker); why != "" {
				yield(entry{}, l.useless(fetch.ErrRefused, "%s", why))
				return
			}
		}
	}
}

func (e entry) placeholder() bool { return e.Size == 0 && strings.HasSuffix(e.Key, "/") }

// printable is a key as it may be shown: quoted if it holds what is not to be
// seen.
func printable(key string) string {
	if strings.ContainsFunc(key, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return strconv.Quote(key)
	}
	return key
}
