package obs

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"net/http"

	"github.com/huaweicloud/huaweicloud-sdk-go-obs/obs"

	"tallyman/fetch"
	"tallyman/fetch/internal/objstore"
	"tallyman/verify"
)

// A Selection names the objects of a bucket under a prefix.
type Selection struct {
	Region string // "" is the Store's
	Bucket string
	Prefix string // "" is all of the bucket

	// Hint says what to do if the bucket is in another region, which it calls
	// REGION. "" is to name the region in the reference.
	Hint string
}

// String returns where the objects are, as a reference would name it.
func (in Selection) String() string {
	return "obs://" + in.Bucket + "/" + objstore.Printable(in.Prefix)
}

// Objects lists the objects, page by page as they are ranged over, and anew
// each time. An object's name is its key below the last slash of the prefix:
// the key e/a/b.csv is "a/b.csv" with the prefix e/ or e/a, and b.csv with its
// own key as the prefix. Placeholders of directories, which end in a slash and
// are empty, are left out. If there are no objects, the error is an ErrNotFound.
//
// The ETag of a listing proves nothing, and is a weak one: only the headers of an
// object tell whether it is encrypted, and so whether its ETag is the MD5 of the
// bytes. Nor does a listing tell whether an archived object was restored: one
// that was not is refused when it is read.
func (s *Store) Objects(ctx context.Context, in Selection) iter.Seq2[fetch.Object, error] {
	return func(yield func(fetch.Object, error) bool) {
		at, err := s.address(in.Region, in.Bucket)
		if err != nil {
			yield(fetch.Object{}, fmt.Errorf("list %s: %w", in, err))
			return
		}
		at.hint = in.Hint
		name := "ListObjects " + in.String()
		l := &objstore.Listing{
			Call: name, Prefix: in.Prefix,
			Get: func(ctx context.Context, cursor string) (*http.Response, error) {
				list := obs.ListObjsInput{Prefix: in.Prefix, MaxKeys: cmp.Or(s.PageSize, objstore.FullPage), EncodingType: "url"}
				return s.get(ctx, call{name: name, at: at, marker: cursor, list: list})
			},
			Next: func(p *objstore.Page, cursor string) string {
				next := p.NextMarker
				if n := len(p.Contents); next == "" && n > 0 {
					next = p.Contents[n-1].Key // S3 and stores like it name no marker
				}
				if next <= cursor {
					return ""
				}
				return next
			},
		}
		all := func(objstore.Entry) bool { return true }
		object := func(e objstore.Entry) fetch.Object {
			return fetch.Object{
				Name: l.Name(e), Want: verify.Want{Size: e.Size, ETag: objstore.Weak(e.ETag)}, Source: s.source(at, e.Key, e.ETag),
			}
		}
		none := fmt.Sprintf("bucket %s has no object with the prefix %q", in.Bucket, in.Prefix)
		l.Objects(ctx, all, object, none)(yield)
	}
}
