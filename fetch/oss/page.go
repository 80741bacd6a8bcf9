package oss

import (
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/internal/api"
)

// A page is an answer of ListObjectsV2.
type page struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	EncodingType          string
	IsTruncated           bool
	NextContinuationToken string
	Contents              []entry
}

// An entry is what a listing says of one object.
type entry struct {
	Key          string
	Size         int64
	ETag         string
	LastModified string
	Type         string
}

const (
	pageTime = 60 * time.Second
	maxPage  = 8 << 20 // 1,000 keys of 1,023 bytes, three characters for each, and what is around them
	fullPage = 1000
)

// page asks for a page, a few times if it must.
func (l *listing) page(ctx context.Context, token string) (*page, error) {
	return api.Retry(ctx, api.StoreBackoff, l.call(), func() (*page, error) { return l.ask(ctx, token) })
}

func (l *listing) ask(ctx context.Context, token string) (*page, error) {
	timed, cancel := context.WithTimeout(ctx, pageTime)
	defer cancel()
	params := map[string]any{
		"list-type": "2", "encoding-type": "url", "prefix": l.Prefix,
		"max-keys": strconv.Itoa(cmp.Or(l.store.PageSize, fullPage)),
	}
	if token != "" {
		params["continuation-token"] = token
	}
	resp, err := l.store.get(timed, call{name: l.call(), at: l.at, params: params})
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
	return l.read(body, token)
}

// useless is the error of an answer that is of no use.
func (l *listing) useless(kind error, format string, args ...any) error {
	return &fetch.CallError{Call: l.call(), Message: fmt.Sprintf(format, args...), Kind: kind}
}

// read takes in a page, which must lead on.
func (l *listing) read(body []byte, token string) (*page, error) {
	p := new(page)
	if err := xml.Unmarshal(body, p); err != nil {
		return nil, l.useless(fetch.ErrTemporary, "the answer is not a listing of objects")
	}
	if err := p.decode(); err != nil {
		return nil, l.useless(fetch.ErrRefused, "the answer has a key that can't be decoded")
	}
	for _, e := range p.Contents {
		if !strings.HasPrefix(e.Key, l.Prefix) || e.Key == "" || e.Size < 0 {
			return nil, l.useless(fetch.ErrRefused, "the answer has an object %q of %d bytes, which can't be", e.Key, e.Size)
		}
	}
	if next := p.NextContinuationToken; p.IsTruncated && (next == "" || next == token) {
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
	plain(&p.NextContinuationToken)
	for i := range p.Contents {
		plain(&p.Contents[i].Key)
	}
	return errors.Join(errs...)
}
