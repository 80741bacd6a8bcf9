package objstore

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"tallyman/fetch"
	"tallyman/fetch/internal/api"
)

const (
	pageTimeout = 60 * time.Second
	maxPage     = 8 << 20 // bytes: 1,000 keys of 1,023 bytes, each escaped by three, and what is around them

	// FullPage is how many objects a page has at most.
	FullPage = 1000
)

// A Listing lists the objects of a bucket under a prefix, page by page. A cursor
// says where a page begins: "" is the first page.
type Listing struct {
	Call   string // its name in errors: "ListObjectsV2 oss://bucket/prefix"
	Prefix string
	// Get asks for one page. What it returns is a success, whose body the caller
	// closes.
	Get func(ctx context.Context, cursor string) (*http.Response, error)
	// Next returns the cursor of the page behind one, or "" if the page, which
	// is not the last, leads nowhere.
	Next func(p *Page, cursor string) string
}

// A Page is an answer of ListObjects or ListObjectsV2.
type Page struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	EncodingType          string
	IsTruncated           bool
	NextContinuationToken string // of ListObjectsV2
	NextMarker            string // of ListObjects
	Contents              []Entry
}

// An Entry is what a listing says of one object.
type Entry struct {
	Key          string
	Size         int64
	ETag         string
	LastModified string // RFC 3339
	Type         string // of OSS: "Normal", "Appendable", "Symlink", …
}

// Name returns an object's name: its key below the last slash of the prefix.
func (l *Listing) Name(e Entry) string { return e.Key[strings.LastIndexByte(l.Prefix, '/')+1:] }

// Objects yields the objects of the entries that selected accepts. A key that is not
// UTF-8 is an ErrUnsafeName of that object: the vendors' SDKs ask for another key, and
// no receipt can hold it. If there are no objects, it yields an ErrNotFound with the
// message none.
func (l *Listing) Objects(ctx context.Context, selected func(Entry) bool, object func(Entry) fetch.Object, none string) iter.Seq2[fetch.Object, error] {
	return func(yield func(fetch.Object, error) bool) {
		found := false
		for e, err := range l.Entries(ctx) {
			if err != nil {
				yield(fetch.Object{}, err)
				return
			}
			if !selected(e) {
				continue
			}
			found = true
			o, err := object(e), error(nil)
			if !utf8.ValidString(e.Key) {
				err = fmt.Errorf("%s: %w: the key %q is not UTF-8", l.Call, fetch.ErrUnsafeName, e.Key)
			}
			if !yield(o, err) {
				return
			}
		}
		if !found {
			yield(fetch.Object{}, &fetch.CallError{Call: l.Call, Message: none, Kind: fetch.ErrNotFound})
		}
	}
}

// Entries yields the entries of page after page, without the placeholders of
// directories, which are empty and end in a slash. Any error ends it.
func (l *Listing) Entries(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		var guard pageGuard
		for cursor := ""; ; {
			p, err := api.Retry(ctx, api.StoreBackoff, l.Call, func() (*Page, error) {
				timed, cancel := context.WithTimeout(ctx, pageTimeout)
				defer cancel()
				resp, err := l.Get(timed, cursor)
				if err != nil && ctx.Err() == nil && timed.Err() != nil {
					return nil, &fetch.CallError{Call: l.Call, Message: fmt.Sprintf("no answer within %v", pageTimeout), Kind: fetch.ErrUnreachable}
				}
				if err != nil {
					return nil, err
				}
				defer resp.Body.Close()
				body, err := io.ReadAll(io.LimitReader(resp.Body, maxPage+1))
				if err != nil {
					return nil, fetch.TransportError(ctx, l.Call, err)
				}
				return l.parse(body, cursor)
			})
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for _, e := range p.Contents {
				placeholder := e.Size == 0 && strings.HasSuffix(e.Key, "/")
				if !placeholder && !yield(e, nil) {
					return
				}
			}
			if !p.IsTruncated {
				return
			}
			cursor = l.Next(p, cursor)
			if err := guard.next(len(p.Contents), cursor); err != nil {
				yield(Entry{}, &fetch.CallError{Call: l.Call, Message: err.Error(), Kind: fetch.ErrRefused})
				return
			}
		}
	}
}

// parse reads a page and checks that it is one of this listing.
func (l *Listing) parse(body []byte, cursor string) (*Page, error) {
	refused := func(kind error, format string, args ...any) (*Page, error) {
		return nil, &fetch.CallError{Call: l.Call, Message: fmt.Sprintf(format, args...), Kind: kind}
	}
	if len(body) > maxPage {
		return refused(fetch.ErrRefused, "the answer is longer than %d bytes", maxPage)
	}
	p := new(Page)
	if err := xml.Unmarshal(body, p); err != nil {
		return refused(fetch.ErrTemporary, "the answer is not a listing of objects")
	}
	// The store was asked to encode, but some stores don't: to take a plus sign in
	// their keys for a space would name other objects.
	if p.EncodingType == "url" {
		encoded := []*string{&p.NextContinuationToken, &p.NextMarker}
		for i := range p.Contents {
			encoded = append(encoded, &p.Contents[i].Key)
		}
		for _, s := range encoded {
			var err error
			if *s, err = url.QueryUnescape(*s); err != nil {
				return refused(fetch.ErrRefused, "the answer has a key that can't be decoded")
			}
		}
	}
	for _, e := range p.Contents {
		if !strings.HasPrefix(e.Key, l.Prefix) || e.Key == "" || e.Size < 0 {
			return refused(fetch.ErrRefused, "the answer has an object %q of %d bytes, which can't be", e.Key, e.Size)
		}
	}
	if p.IsTruncated && l.Next(p, cursor) == "" {
		return refused(fetch.ErrRefused, "there are more objects, but the answer does not say how to go on")
	}
	return p, nil
}

const (
	maxObjects    = 10_000_000
	maxEmptyPages = 1000 // in a row
)

// A pageGuard ends a listing whose pages never end.
type pageGuard struct {
	objects, pages, empty int
	mark                  string // a cursor of before, set anew after 1, 2, 4, 8, … pages
}

// next takes in a page of n objects, and fails if the listing must not go on to
// the next cursor. It finds a circle of any length (Brent's algorithm).
func (g *pageGuard) next(n int, cursor string) error {
	g.objects += n
	g.pages++
	g.empty++
	if n > 0 {
		g.empty = 0
	}
	switch {
	case cursor == g.mark:
		return errors.New("the pages of the listing lead in a circle")
	case g.empty == maxEmptyPages:
		return fmt.Errorf("%d pages in a row have no object, and there are more", maxEmptyPages)
	case g.objects > maxObjects:
		return fmt.Errorf("there are more than %d objects", maxObjects)
	}
	if g.pages&(g.pages-1) == 0 {
		g.mark = cursor
	}
	return nil
}
