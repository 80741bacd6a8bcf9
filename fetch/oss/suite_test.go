package oss

import (
	"net/http"
	"testing"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/fetch/internal/acs"
)

func TestProvider(t *testing.T) {
	keys := acs.Static(acs.Keys{AccessKeyID: fetchtest.KeyID, AccessKeySecret: fetchtest.Secret, SecurityToken: fetchtest.Token}).Keys
	fetchtest.Suite{Ref: "oss://logs/e/?region=cn-hangzhou", Dir: "testdata/listing", New: func(client *http.Client) fetch.Provider {
		return &Provider{&Store{Client: client, Keys: keys}}
	}}.Run(t)
}
