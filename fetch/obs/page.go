package obs

import (
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/huaweicloud/huaweicloud-sdk-go-obs/obs"

	"tallyman/fetch"
	"tallyman/fetch/internal/api"
)

// A page is an answer of ListObjects.
type page struct {
	XMLName      xml.Name `xml:"ListBucketResult"`
	EncodingType string
	IsTruncated  bool
	NextMarker   string
	Contents     []entry
}

// An entry is what a listing says of one object.
type entry struct {
	Key  string
	Size int64
	ETag string
}

const (
	pageTime = 60 * time.Second
	maxPage  = 8 << 20 // 1,000 keys of 1,023 bytes, three characters for each, and what is around them
	fullPage = 1000
)

// page asks for a page, a few times if it must.
func (l *listing) page(ctx context.Context, marker string) (*page, error) {
	return api.Retry(ctx, api.StoreBackoff, l.call(), func() (*page, error) { return l.ask(ctx, marker) })
}

func (l *listing) ask(ctx context.Context, marker string) (*page, error) {
	timed, cancel := context.WithTimeout(ctx, pageTime)
	defer cancel()
	resp, err := l.store.get(timed, call{name: l.call(), at: l.at, marker: marker, list: obs.ListObjsInput{
		Prefix: l.Prefix, MaxKeys: cmp.Or(l.store.PageSize, fullPage), EncodingType: "url",
	}})
	if err != nil && ctx.Err() == nil && timed.Err() != nil {
		return nil, l.useless(fetch.ErrTemporary, "no answer within %v", pageTime)
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxPage+1))
	if err != nil {
		return nil, fetch.TransportError(ctx, l.call(), err)
	}
	if len(body) > maxPage {
		return nil, l.useless(fetch.ErrRefused, "the answer is longer than %d bytes", maxPage)
	}
	return l.read(body, marker)
}

// useless is the error of an answer that is of no use.
func (l *listing) useless(kind error, format string, args ...any) error {
	return &fetch.CallError{Call: l.call(), Message: fmt.Sprintf(format, args...), Kind: kind}
}

// read takes in a page, which must lead on.
func (l *listing) read(body []byte, marker string) (*page, error) {
	p := new(page)
	if err := xml.Unmarshal(body, p); err != nil {
		return nil, l.useless(fetch.ErrTemporary, "the answer is not a listing of objects")
	}
	if err := p.decode(); err != nil {
		return nil, l.useless(fetch.ErrRefused, "the answer has a key that can't be decoded")
	}
	for _, e := range p.Contents {
		if !strings.HasPrefix(e.Key, l.Prefix) || e.Key == "" || e.Size < 0 || !utf8.ValidString(e.Key) {
			return nil, l.useless(fetch.ErrRefused, "the answer has an object %q of %d bytes, which can't be", e.Key, e.Size)
		}
	}
	if n := len(p.Contents); p.NextMarker == "" && n > 0 {
		p.NextMarker = p.Contents[n-1].Key // S3 and those like it name no other
	}
	if p.IsTruncated && p.NextMarker <= marker {
		return nil, l.useless(fetch.ErrRefused, "there are more objects, but the answer does not say how to go on")
	}
	return p, nil
}

// decode decodes what the store encoded: it was asked to, but some don't, and
// to take a plus sign in their keys for a space would name other objects.
func (p *page) decode() error {
	if p.EncodingType != "url" {
		return nil
	}
	var errs []error
	plain := func(s *string) {
		var err error
		*s, err = url.QueryUnescape(*s)
		errs = append(errs, err)
	}
	plain(&p.NextMarker)
	for i := range p.Contents {
		plain(&p.Contents[i].Key)
	}
	return errors.Join(errs...)
}
