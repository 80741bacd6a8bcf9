package oss

import (
	"strings"
	"testing"

	"github.com/aliyun/aliyun-oss-go-sdk/oss"
)

func TestOnlyEndpointsOfTheVendorAreShown(t *testing.T) {
	for endpoint, want := range map[string]string{
		"oss-cn-shanghai.aliyuncs.com":          "?region=cn-shanghai ",
		"oss-cn-shanghai-internal.aliyuncs.com": "?region=cn-shanghai ",
		"oss-cn-shanghai.evil.aliyuncs.com":     "",
		"oss-\x1b[2J.aliyuncs.com":              "",
		"oss-cn-shanghai.example":               "",
		"s3.aliyuncs.com":                       "",
		"":                                      "",
	} {
		if got := elsewhere(endpoint, ""); !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("%q: got %q, want %q in it", endpoint, got, want)
		}
	}
}

// At its most verbose, the SDK's log has every header.
func TestTheSDKLogsNothing(t *testing.T) {
	store := &Store{Region: "cn-hangzhou"}
	at, err := store.address(t.Context(), "", bucket)
	if err != nil {
		t.Fatal(err)
	}
	b, err := store.bucket(at, sts)
	if err != nil || b.GetConfig().LogLevel != oss.LogOff {
		t.Errorf("log level %d, %v", b.GetConfig().LogLevel, err)
	}
}
