package oss

import (
	"context"
	"iter"
	"net/http"
	"testing"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/fetch/internal/acs"
)

func FuzzListing(f *testing.F) {
	fetchtest.FuzzObjects(f, func(ctx context.Context, status int, body, prefix string) iter.Seq2[fetch.Object, error] {
		store := &Store{Region: "cn-hangzhou", Keys: acs.Static(sts).Keys, Client: &http.Client{Transport: fetchtest.Answering(status, body)}}
		return store.Objects(ctx, Selection{Bucket: bucket, Prefix: prefix})
	}, sts.AccessKeySecret, sts.SecurityToken)
}
