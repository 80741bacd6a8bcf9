package oss

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash/crc64"
	"iter"
	"net/http"
	"testing"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/fetch/internal/acs"
	"tallyman/verify"
)

func TestProvider(t *testing.T) {
	keys := acs.Static(acs.Keys{AccessKeyID: fetchtest.KeyID, AccessKeySecret: fetchtest.Secret, SecurityToken: fetchtest.Token}).Keys
	fetchtest.Suite{Ref: "oss://logs/e/?region=cn-hangzhou", Dir: "testdata/listing", New: func(client *http.Client) fetch.Provider {
		return &Provider{&Store{Client: client, Keys: keys}}
	}}.Run(t)
}

func TestBucket(t *testing.T) {
	fetchtest.Bucket{
		Scheme: "oss", Name: bucket, ListCall: "ListObjectsV2", Throttled: "TotalQpsLimitExceeded",
		Next: "<NextContinuationToken>t</NextContinuationToken>", NextParam: "continuation-token",
		Listed: func(body string) verify.Want {
			return verify.Want{Size: int64(len(body)), ETag: fmt.Sprintf(`"%X"`, md5.Sum([]byte(body)))}
		},
		Answered: func(body string) verify.Want {
			sum := md5.Sum([]byte(body))
			return verify.Want{
				Size: int64(len(body)), ETag: fmt.Sprintf(`"%X"`, sum), MD5: hex.EncodeToString(sum[:]),
				CRC64: fmt.Sprint(crc64.Checksum([]byte(body), crc64.MakeTable(crc64.ECMA))),
			}
		},
		Serve: serveBucket,
		New: func(endpoint string, client *http.Client) fetchtest.BucketStore {
			return bucketOf(&Store{Endpoint: endpoint, Region: "cn-hangzhou", Keys: acs.Static(sts).Keys, Client: client})
		},
	}.Run(t)
}

func serveBucket(t testing.TB, objects map[string]string) fetchtest.BucketServer {
	srv, store := serve(t, map[string]*object{})
	put := func(key, body string) {
		sum := md5.Sum([]byte(body))
		srv.objects[key] = &object{body: body, header: map[string]string{"Content-MD5": base64.StdEncoding.EncodeToString(sum[:])}}
	}
	for key, body := range objects {
		put(key, body)
	}
	return fetchtest.BucketServer{
		Put: put, Remove: func(key string) { delete(srv.objects, key) },
		Intercept: func(f func(http.ResponseWriter, *http.Request) bool) { srv.intercept = f },
		Requests:  srv.seen,
		Open: func(pageSize int) fetchtest.BucketStore {
			return bucketOf(&Store{Endpoint: store.Endpoint, Keys: store.Keys, Region: store.Region, PageSize: pageSize})
		},
	}
}

func bucketOf(s *Store) fetchtest.BucketStore {
	return fetchtest.BucketStore{
		List: func(ctx context.Context, prefix string) iter.Seq2[fetch.Object, error] {
			return s.Objects(ctx, Selection{Bucket: bucket, Prefix: prefix})
		},
		Source: func(key string) fetch.Source {
			at, err := s.address(context.Background(), "", bucket)
			if err != nil {
				panic(err)
			}
			return s.source(at, key, `"etag"`)
		},
	}
}
