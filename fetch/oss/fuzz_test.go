package oss

import (
	"context"
	"encoding/xml"
	"io"
	"iter"
	"net/http"
	"strings"
	"testing"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/fetch/internal/acs"
)

func FuzzListing(f *testing.F) {
	fetchtest.FuzzObjects(f, func(ctx context.Context, status int, body, prefix string) iter.Seq2[fetch.Object, error] {
		store := &Store{Region: "cn-hangzhou", Keys: acs.Static(sts).Keys, Client: &http.Client{Transport: transport(func(req *http.Request) (*http.Response, error) {
			return &http.Response{
				StatusCode: status, ProtoMajor: 1, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: req,
			}, nil
		})}}
		return store.Objects(ctx, Selection{Bucket: bucket, Prefix: prefix})
	}, sts.AccessKeySecret, sts.SecurityToken)
}

// A listing names the keys that are written in it.
func FuzzKeysAreReadAsTheyAreWritten(f *testing.F) {
	for _, key := range odd {
		f.Add(key, int64(3))
	}
	f.Fuzz(func(t *testing.T, key string, size int64) {
		key, size = "e/"+key, max(size, 0)
		p := page{XMLName: xml.Name{Local: "ListBucketResult"}, Contents: []entry{{Key: key, Size: size, ETag: `"v1"`}}}
		for _, encoded := range []bool{true, false} {
			if encoded {
				p.EncodingType, p.Contents[0].Key = "url", fetchtest.PercentEncoded(key)
			} else if p.EncodingType, p.Contents[0].Key = "", key; !fetchtest.IsXML(key) {
				continue
			}
			body, err := xml.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			l := &listing{Selection: Selection{Bucket: bucket, Prefix: "e/"}}
			if got, err := l.read(body, ""); err != nil || len(got.Contents) != 1 || got.Contents[0].Key != key || got.Contents[0].Size != size {
				t.Errorf("%s: %+v, %v", body, got, err)
			}
		}
	})
}
