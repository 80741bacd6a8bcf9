package obs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/huaweicloud/huaweicloud-sdk-go-obs/obs"

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
	etag  string // as the listing has it
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
	c := call{name: o.String(), at: o.at, key: o.key, header: map[string]string{}}
	switch n {
	case noRange:
	case verify.Unknown:
		c.header["Range"] = fmt.Sprintf("bytes=%d-", off)
	default:
		c.header["Range"] = fmt.Sprintf("bytes=%d-%d", off, off+n-1)
	}
	if etag != "" && !web.IsWeak(o.etag) { // a weak one of the store's own never matches
		c.header["If-Match"] = o.at.condition(etag)
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

func (o *source) String() string { return "GetObject obs://" + o.at.bucket + "/" + printable(o.key) }

// condition is an ETag for If-Match: OBS's own examples have it without the
// quotes that it comes in, those of S3 as it is.
func (w *place) condition(etag string) string {
	etag = web.Strong(etag)
	if w.signature == obs.SignatureObs {
		etag = strings.Trim(etag, `"`)
	}
	return etag
}
