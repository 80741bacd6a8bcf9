package obs

import (
	"errors"
	"strings"
	"testing"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/fetch/sandbox"
)

func TestOnlyEndpointsOfTheVendorAreShown(t *testing.T) {
	for endpoint, want := range map[string]string{
		"obs.cn-east-3.myhuaweicloud.com":          "?region=cn-east-3 ",
		"bkt.obs.cn-east-3.myhuaweicloud.com":      "?region=cn-east-3 ",
		"b.obs.t.obs.cn-east-3.myhuaweicloud.com":  "?region=cn-east-3 ",
		"obs.cn-east-3.evil.myhuaweicloud.com":     "",
		"obs.\x1b[2J.myhuaweicloud.com":            "",
		"obs.cn-east-3.example":                    "",
		"ecs.cn-east-3.myhuaweicloud.com":          "",
		"obs.cn-east-3.myhuaweicloud.com.evil.com": "",
		"": "",
	} {
		if got := elsewhere(endpoint, ""); !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("%q: got %q, want %q in it", endpoint, got, want)
		}
	}
}

func TestABucketInAnotherRegionIsNamedWithTheHint(t *testing.T) {
	srv, store := serve(t, nil)
	srv.AddBucket(bucket, sandbox.Bucket{Endpoint: "obs.cn-east-3.myhuaweicloud.com"})
	for hint, want := range map[string]string{
		"":               "obs.cn-east-3.myhuaweicloud.com: add ?region=cn-east-3 to the reference",
		"look in REGION": "obs.cn-east-3.myhuaweicloud.com: look in cn-east-3",
	} {
		_, err := fetchtest.Names(store.Objects(t.Context(), Selection{Bucket: bucket, Hint: hint}))
		if !errors.Is(err, fetch.ErrRefused) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
