package oss

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/internal/objstore"
	"tallyman/verify"
)

// A Selection names objects of a bucket: all of those under a prefix, or some.
type Selection struct {
	Region string // "" is the Store's
	Bucket string
	Prefix string    // "" is all of the bucket
	Since  time.Time // only objects modified then or later, to the second; zero: all
	// JobName leaves out objects whose names don't hold it as a word, if some do.
	JobName string

	// Hint says what to do if the bucket is in another region, which it calls
	// REGION. "" is to name the region in the reference.
	Hint string
}

// String returns where the objects are, as a reference would name it.
func (in Selection) String() string {
	return "oss://" + in.Bucket + "/" + objstore.Printable(in.Prefix)
}

// Objects lists the objects, page by page as they are ranged over, and anew
// each time. An object's name is its key below the last slash of the prefix:
// the key e/a/b.csv is "a/b.csv" with the prefix e/ or e/a, and b.csv with its
// own key as the prefix. Placeholders of directories, which end in a slash and
// are empty, are left out. If there are no objects, the error is an ErrNotFound.
//
// An object is proven by the CRC64 or the MD5 that its answers give, or by the
// listing's ETag where that is the MD5 of the bytes.
func (s *Store) Objects(ctx context.Context, in Selection) iter.Seq2[fetch.Object, error] {
	return func(yield func(fetch.Object, error) bool) {
		at, err := s.address(ctx, in.Region, in.Bucket)
		if err != nil {
			yield(fetch.Object{}, fmt.Errorf("list %s: %w", in, err))
			return
		}
		at.hint = in.Hint
		name := "ListObjectsV2 " + in.String()
		l := &objstore.Listing{
			Call: name, Prefix: in.Prefix,
			Get: func(ctx context.Context, cursor string) (*http.Response, error) {
				params := map[string]any{
					"list-type": "2", "encoding-type": "url", "prefix": in.Prefix,
					"max-keys": strconv.Itoa(cmp.Or(s.PageSize, objstore.FullPage)),
				}
				if cursor != "" {
					params["continuation-token"] = cursor
				}
				return s.get(ctx, call{name: name, at: at, params: params})
			},
			Next: func(p *objstore.Page, cursor string) string {
				if p.NextContinuationToken == cursor {
					return ""
				}
				return p.NextContinuationToken
			},
		}
		selected, err := in.selector(ctx, l)
		if err != nil {
			yield(fetch.Object{}, err)
			return
		}
		none := fmt.Sprintf("bucket %s has no object with the prefix %q", in.Bucket, in.Prefix)
		if !in.Since.IsZero() {
			none += " modified since " + in.Since.UTC().Format(time.RFC3339)
		}
		object := func(e objstore.Entry) fetch.Object { return s.object(at, l.Name(e), e) }
		l.Objects(ctx, selected, object, none)(yield)
	}
}

func (s *Store) object(at *bucketAddress, name string, e objstore.Entry) fetch.Object {
	want := verify.Want{Size: e.Size, ETag: e.ETag}
	switch e.Type {
	case "Symlink": // size and ETag are those of the link, not of its target
		want, e.ETag = verify.NoPromise(), ""
	case "Appendable": // the ETag looks like a hash of the bytes, and is none
		want.ETag = objstore.Weak(want.ETag)
	}
	return fetch.Object{Name: name, Want: want, Source: s.source(at, e.Key, e.ETag)}
}

// selector returns a function that reports whether an entry is selected. To find
// out whether some names hold JobName, it ranges over a listing of its own, so that
// no listing need be held in memory.
func (in Selection) selector(ctx context.Context, l *objstore.Listing) (func(objstore.Entry) bool, error) {
	since := in.Since.Truncate(time.Second)
	recent := func(e objstore.Entry) bool {
		modified, err := time.Parse(time.RFC3339, e.LastModified)
		return in.Since.IsZero() || err == nil && !modified.Before(since)
	}
	if in.JobName == "" {
		return recent, nil
	}
	named := func(e objstore.Entry) bool { return recent(e) && objstore.HoldsWord(l.Name(e), in.JobName) }
	for e, err := range l.Entries(ctx) {
		if err != nil {
			return nil, err
		}
		if named(e) {
			return named, nil
		}
	}
	return recent, nil
}
