package obs

import (
	"context"
	"crypto/md5"
	"fmt"
	"hash/crc64"
	"iter"
	"net/http"
	"testing"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/fetch/sandbox"
	"tallyman/verify"
)

func TestProvider(t *testing.T) {
	k := Keys{AccessKey: fetchtest.KeyID, SecretKey: fetchtest.Secret, SecurityToken: fetchtest.Token}
	fetchtest.Suite{Ref: "obs://logs/e/?region=cn-north-4", Dir: "testdata/listing", New: func(client *http.Client) fetch.Provider {
		return &Provider{&Store{Client: client, Keys: StaticKeys(k)}}
	}}.Run(t)
}

func TestBucket(t *testing.T) {
	fetchtest.Bucket{
		Scheme: "obs", Name: bucket, ListCall: "ListObjects", Throttled: "SlowDown",
		Next: "<NextMarker>e/a</NextMarker>", NextParam: "marker",
		Retries: []fetchtest.Retry{
			{Name: "while the name of a new bucket spreads", Status: 307, Code: "TemporaryRedirect", Calls: 4, Wait: 1400 * time.Millisecond, Kind: fetch.ErrTemporary},
			{Name: "but not after too many wrong signatures", Status: 400, Code: "TooManyWrongSignature", Calls: 1, Kind: fetch.ErrAuth},
		},
		Listed: func(body string) verify.Want {
			return verify.Want{Size: int64(len(body)), ETag: fmt.Sprintf(`W/"%x"`, md5.Sum([]byte(body)))}
		},
		Answered: func(body string) verify.Want {
			return verify.Want{Size: int64(len(body)), ETag: fmt.Sprintf(`"%x"`, md5.Sum([]byte(body))), CRC64: fmt.Sprint(crc64.Checksum([]byte(body), crc64.MakeTable(crc64.ECMA)))}
		},
		Serve: serveBucket,
		New: func(endpoint string, client *http.Client) fetchtest.BucketStore {
			return bucketOf(&Store{Endpoint: endpoint, Region: "cn-north-4", Keys: StaticKeys(temporary), Client: client})
		},
	}.Run(t)
}

func serveBucket(t testing.TB, objects map[string]string) fetchtest.BucketServer {
	srv, store := serve(t, objects)
	return fetchtest.BucketServer{
		Put:       func(key, body string) { srv.AddObject(bucket, key, sandbox.File{Body: []byte(body)}) },
		Remove:    func(key string) { srv.RemoveObject(bucket, key) },
		Intercept: func(f func(http.ResponseWriter, *http.Request) bool) { srv.intercept = f },
		Requests:  srv.seen,
		Open: func(pageSize int) fetchtest.BucketStore {
			return bucketOf(&Store{Endpoint: store.Endpoint, Keys: store.Keys, PageSize: pageSize})
		},
	}
}

func bucketOf(s *Store) fetchtest.BucketStore {
	return fetchtest.BucketStore{
		List: func(ctx context.Context, prefix string) iter.Seq2[fetch.Object, error] {
			return s.Objects(ctx, Selection{Bucket: bucket, Prefix: prefix})
		},
		Source: func(key string) fetch.Source { return unlisted(s, key) },
	}
}

// unlisted reads an object that was not listed.
func unlisted(s *Store, key string) fetch.Source {
	at, err := s.address("", bucket)
	if err != nil {
		panic(err)
	}
	return s.source(at, key, `"etag"`)
}
