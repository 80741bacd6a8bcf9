package oss

import (
	"context"
	"iter"
	"testing"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/fetch/internal/acs"
)

// The server accepts any signature.
func TestRclone(t *testing.T) {
	fetchtest.Rclone{Scheme: "oss", ETag: `"%x"`, New: func(endpoint string) (fetch.Provider, fetchtest.Lister) {
		store := &Store{Endpoint: endpoint, Keys: acs.Static(keys).Keys, PageSize: 2}
		return &Provider{store}, func(ctx context.Context, bucket, prefix string) iter.Seq2[fetch.Object, error] {
			return store.Objects(ctx, Selection{Bucket: bucket, Prefix: prefix, Since: time.Now().Add(-time.Hour)})
		}
	}}.Run(t)
}
