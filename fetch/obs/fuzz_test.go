package obs

import (
	"context"
	"iter"
	"net/http"
	"testing"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
)

func FuzzListing(f *testing.F) {
	fetchtest.FuzzObjects(f, func(ctx context.Context, status int, body, prefix string) iter.Seq2[fetch.Object, error] {
		store := &Store{Region: "cn-north-4", Keys: StaticKeys(temporary), Client: &http.Client{Transport: fetchtest.Answering(status, body)}}
		return store.Objects(ctx, Selection{Bucket: bucket, Prefix: prefix})
	}, temporary.SecretKey, temporary.SecurityToken)
}
