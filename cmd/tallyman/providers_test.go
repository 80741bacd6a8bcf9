package main

import (
	"slices"
	"strings"
	"testing"

	"tallyman/cmd/tallyman/internal/config"
	"tallyman/fetch"
	"tallyman/fetch/dis"
	"tallyman/fetch/sandbox"
)

func TestEveryPlaceCanBeListed(t *testing.T) {
	for name, places := range map[string][]config.Place{
		"one account":   nil,
		"many accounts": {{Match: "sls://r/p/", Profile: "team"}},
	} {
		a := newApp()
		a.Places = places
		var listed []string
		for scheme, provider := range a.newProviders() {
			if _, err := fetch.ParsePlace(scheme + "://a/b/"); err != nil {
				continue
			}
			if _, ok := provider.(fetch.Lister); !ok {
				t.Errorf("%s: places of %s can't be listed", name, scheme)
			}
			listed = append(listed, scheme)
		}
		slices.Sort(listed)
		if want := []string{"dbs", "dis", "sls"}; !slices.Equal(listed, want) {
			t.Errorf("%s: there are places of %q, want %q", name, listed, want)
		}
	}
}

func TestWhatAnEndpointNamesIsAProvider(t *testing.T) {
	providers := newApp().newProviders()
	for _, name := range providerNames {
		if providers[name] == nil {
			t.Errorf("there is no %s", name)
		}
	}
	if want := len(providerNames) + len([]string{"http", "https"}); len(providers) != want {
		t.Errorf("there are %d providers, want %d", len(providers), want)
	}
}

// A reference to a file of DIS has no place for the region of its bucket.
func TestABucketElsewhereThatAFileOfDISIsInIsToBeFetchedItself(t *testing.T) {
	cloud := sandbox.New(sandbox.Options{AccessKeyID: demoKey, AccessKeySecret: demoSecret})
	cloud.AddBucket("landing", sandbox.Bucket{Endpoint: "obs.cn-east-3.myhuaweicloud.com"})
	address, stop, err := cloud.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	a := newApp()
	if err := a.Endpoints.Set("obs=" + address); err != nil {
		t.Fatal(err)
	}
	for _, err := range a.huaweiProviders(account{sandbox: true})["dis"].(*dis.Provider).Objects(t.Context(), "cn-north-4", "landing", "logs/") {
		if err == nil || !strings.Contains(err.Error(), "obs.cn-east-3.myhuaweicloud.com: fetch obs://landing/logs/?region=cn-east-3, all of it") {
			t.Errorf("got %v", err)
		}
	}
}

// newApp returns an app with no settings.
func newApp() *app { return &app{Options: config.New(providerNames)} }
