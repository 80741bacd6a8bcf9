package oss

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/aliyun/aliyun-oss-go-sdk/oss"

	"tallyman/fetch"
	"tallyman/fetch/web"
	"tallyman/verify"
)

// A source reads ranges of one object: of the version that the listing told
// of.
type source struct {
	store *Store
	at    *place
	key   string
	etag  string // as the listing has it, or ""
}

// ReadRange implements fetch.Source.
func (o *source) ReadRange(ctx context.Context, off, n int64, etag string) (*fetch.Range, error) {
	etag = cmp.Or(etag, o.etag)
	answer, err := o.read(ctx, off, n, etag)
	refused, ok := errors.AsType[*fetch.CallError](err)
	if ok && refused.Status == http.StatusRequestedRangeNotSatisfiable && off == 0 {
		return o.read(ctx, 0, noRange, etag) // of an empty object any range is refused
	}
	return answer, err
}

// noRange, as a number of bytes, asks for all of them without a Range header.
const noRange = 0

func (o *source) read(ctx context.Context, off, n int64, etag string) (*fetch.Range, error) {
	c := call{name: o.String(), at: o.at, key: o.key}
	switch n {
	case noRange:
	case verify.Unknown:
		c.ranged(fmt.Sprintf("%d-", off))
	default:
		c.ranged(fmt.Sprintf("%d-%d", off, off+n-1))
	}
	if etag != "" && !web.IsWeak(o.etag) { // a weak one of the store's own never matches
		c.options = append(c.options, oss.IfMatch(web.Strong(etag)))
	}
	resp, err := o.store.get(ctx, c)
	if err != nil {
		return nil, err
	}
	taken, err := web.Answer(c.name, resp, off, n)
	if err != nil {
		resp.Body.Close()
		return nil, err
	}
	return taken, nil
}

// ranged asks for a range as the standard has it: unless told so, the service
// answers one that reaches beyond the end with all of the object.
func (c *call) ranged(span string) {
	c.options = append(c.options, oss.NormalizedRange(span), oss.RangeBehavior("standard"))
}

func (o *source) String() string { return "GetObject oss://" + o.at.bucket + "/" + printable(o.key) }
