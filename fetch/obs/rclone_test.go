package obs

import (
	"context"
	"errors"
	"iter"
	"testing"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
)

// The server checks V4 signatures.
func TestRclone(t *testing.T) {
	fetchtest.Rclone{Scheme: "obs", ETag: `W/"%x"`, Flags: []string{"--auth-key", keys.AccessKey + "," + keys.SecretKey}, New: func(endpoint string) (fetch.Provider, fetchtest.Lister) {
		for _, k := range []Keys{{AccessKey: keys.AccessKey, SecretKey: "other"}, {AccessKey: "other", SecretKey: keys.SecretKey}} {
			wrong := &Store{Endpoint: endpoint, Keys: StaticKeys(k)}
			if _, err := fetchtest.Names(wrong.Objects(t.Context(), Selection{Bucket: "bkt-one"})); !errors.Is(err, fetch.ErrAuth) {
				t.Errorf("%v: got %v, want ErrAuth", k, err)
			}
		}
		store := &Store{Endpoint: endpoint, Keys: StaticKeys(keys), PageSize: 2}
		return &Provider{store}, func(ctx context.Context, bucket, prefix string) iter.Seq2[fetch.Object, error] {
			return store.Objects(ctx, Selection{Bucket: bucket, Prefix: prefix})
		}
	}}.Run(t)
}
