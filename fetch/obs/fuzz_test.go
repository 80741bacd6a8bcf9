package obs

import (
	"context"
	"io"
	"iter"
	"net/http"
	"strings"
	"testing"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
)

func FuzzListing(f *testing.F) {
	fetchtest.FuzzObjects(f, func(ctx context.Context, status int, body, prefix string) iter.Seq2[fetch.Object, error] {
		store := &Store{Region: "cn-north-4", Keys: StaticKeys(temporary), Client: &http.Client{Transport: transport(func(req *http.Request) (*http.Response, error) {
			return &http.Response{
				StatusCode: status, ProtoMajor: 1, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: req,
			}, nil
		})}}
		return store.Objects(ctx, Selection{Bucket: bucket, Prefix: prefix})
	}, temporary.SecretKey, temporary.SecurityToken)
}
