package oss

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"
	"unicode"

	"tallyman/fetch"
	"tallyman/fetch/internal/api"
	"tallyman/fetch/web"
	"tallyman/verify"
)

// A Selection is objects of a bucket: those under a prefix, or some of them.
type Selection struct {
	Region string // "" is the Store's
	Bucket string
	Prefix string    // "" is all of the bucket
	Since  time.Time // only what was modified then or later, to the second; zero: all
	Named  string    // if the names of some hold it as a word, only those

	// Hint is what to do where the bucket turns out to be in another region,
	// which it calls REGION. "" is to name that in the reference.
	Hint string
}

// String is where the objects are, as a reference would name it.
func (in Selection) String() string { return "oss://" + in.Bucket + "/" + printable(in.Prefix) }

// directory is what the names of objects leave out of their keys: the prefix
// up to its last slash.
func (in Selection) directory() string { return in.Prefix[:strings.LastIndexByte(in.Prefix, '/')+1] }

// Objects lists the objects, page by page as they are ranged over, and anew
// each time. An object's name is its key below the last slash of the prefix:
// "a/b.csv" of the key e/a/b.csv where the prefix is e/ or e/a, and so the last
// element of the key where the prefix is that. Placeholders of directories,
// which end in a slash and are empty, are left out. None at all is an
// ErrNotFound.
func (s *Store) Objects(ctx context.Context, in Selection) iter.Seq2[fetch.Object, error] {
	return func(yield func(fetch.Object, error) bool) {
		at, err := s.where(in.Region, in.Bucket)
		if err != nil {
			yield(fetch.Object{}, fmt.Errorf("list %s: %w", in, err))
			return
		}
		at.hint = in.Hint
		l := &listing{Selection: in, store: s, at: at}
		if err := l.narrow(ctx); err != nil {
			yield(fetch.Object{}, err)
			return
		}
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
	store    *Store
	at       *place
	narrowed bool // some names hold Named
}

// narrow finds out whether some names hold Named. It takes a listing of its
// own, so that no listing need be kept.
func (l *listing) narrow(ctx context.Context) error {
	if l.Named == "" {
		return nil
	}
	for e, err := range l.entries(ctx) {
		if err != nil {
			return err
		}
		if l.named(e) {
			l.narrowed = true
			return nil
		}
	}
	return nil
}

// named reports whether an object's name holds Named, and not as a part of a
// longer word: download-1 is not in download-12.csv.
func (l *listing) named(e entry) bool {
	name := l.name(e)
	for from := 0; ; {
		i := strings.Index(name[from:], l.Named)
		if i < 0 {
			return false
		}
		i += from
		before, after := []rune(name[:i]), []rune(name[i+len(l.Named):])
		if (i == 0 || !inWord(before[len(before)-1])) && (len(after) == 0 || !inWord(after[0])) {
			return true
		}
		from = i + 1
	}
}

func inWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

func (l *listing) name(e entry) string { return e.Key[len(l.directory()):] }

func (l *listing) object(e entry) fetch.Object {
	want := verify.Want{Size: e.Size, ETag: e.ETag}
	switch e.Type {
	case "Symlink":
		want, e.ETag = verify.NoPromise(), "" // they are the link's
	case "Appendable":
		want.ETag = web.Weak(want.ETag) // it looks like a hash of the bytes, and is none
	}
	return fetch.Object{
		Name:   l.name(e),
		Want:   want,
		Source: &source{store: l.store, at: l.at, key: e.Key, etag: e.ETag},
	}
}

func (l *listing) nothing() error {
	said := fmt.Sprintf("bucket %s has no object with the prefix %q", l.Bucket, l.Prefix)
	if !l.Since.IsZero() {
		said += " modified since " + l.Since.UTC().Format(time.RFC3339)
	}
	return &fetch.CallError{Call: l.call(), Message: said, Kind: fetch.ErrNotFound}
}

func (l *listing) call() string { return "ListObjectsV2 " + l.String() }

// entries are those that are meant, of page after page.
func (l *listing) entries(ctx context.Context) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		var course api.Course
		for token := ""; ; {
			p, err := l.page(ctx, token)
			if err != nil {
				yield(entry{}, err)
				return
			}
			for _, e := range p.Contents {
				if l.meant(e) && !yield(e, nil) {
					return
				}
			}
			if !p.IsTruncated {
				return
			}
			token = p.NextContinuationToken
			if why := course.GoOn(len(p.Contents), token); why != "" {
				yield(entry{}, l.useless(fetch.ErrRefused, "%s", why))
				return
			}
		}
	}
}

func (l *listing) meant(e entry) bool {
	switch {
	case e.Size == 0 && strings.HasSuffix(e.Key, "/"):
		return false
	case l.narrowed && !l.named(e):
		return false
	case l.Since.IsZero():
		return true
	}
	modified, err := time.Parse(time.RFC3339, e.LastModified)
	return err == nil && !modified.Before(l.Since.Truncate(time.Second))
}

// printable is a key as it may be shown: quoted if it holds what is not to be
// seen.
func printable(key string) string {
	if strings.ContainsFunc(key, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return strconv.Quote(key)
	}
	return key
}
