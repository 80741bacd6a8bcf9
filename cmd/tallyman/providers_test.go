package main

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"tallyman/fetch"
)

func TestEveryPlaceCanBeListed(t *testing.T) {
	for name, o := range map[string]*options{
		"one account":   {apiRate: 5},
		"many accounts": {apiRate: 5, places: []place{{"sls://r/p/", "team"}}},
		"no pace":       {},
	} {
		var listed []string
		for scheme, provider := range o.pace(o.newProviders()) {
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

func TestSmallerPagesArePacedToo(t *testing.T) {
	place := mustPlace(t, "dbs://cn-a/rm-1/")
	synctest.Test(t, func(t *testing.T) {
		long := &fakePlace{jobs: make([]fetch.Listed, 1050)}
		paced := (&options{apiRate: 1}).pace(map[string]fetch.Provider{"dbs": long})["dbs"]
		began := time.Now()
		for range paced.(fetch.Lister).List(t.Context(), place, time.Time{}) {
			continue
		}
		if took := time.Since(began).Round(time.Millisecond); took != 21*time.Second {
			t.Errorf("22 pages at 1 a second took %v", took)
		}
	})
}

func mustPlace(t *testing.T, text string) fetch.Ref {
	t.Helper()
	place, err := fetch.ParsePlace(text)
	if err != nil {
		t.Fatal(err)
	}
	return place
}

func TestWhatAnEndpointNamesIsAProvider(t *testing.T) {
	providers := new(options).newProviders()
	for _, name := range providerNames {
		if providers[name] == nil {
			t.Errorf("there is no %s", name)
		}
	}
	if want := len(providerNames) + len([]string{"http", "https"}); len(providers) != want {
		t.Errorf("there are %d providers, want %d", len(providers), want)
	}
}

func TestABucketMayHaveARegion(t *testing.T) {
	for text, want := range map[string]sink{
		"my-backups": {bucket: "my-backups"}, "b-1@cn-hangzhou": {"b-1", "cn-hangzhou"}, "b-1@oss-cn-hangzhou": {"b-1", "oss-cn-hangzhou"},
	} {
		var s sink
		if err := s.Set(text); err != nil || s != want || s.String() != text {
			t.Errorf("%s is %+v, %v", text, s, err)
		}
	}
	for _, text := range []string{"", "@cn-hangzhou", "b-1@", "B-1", "a.b", "ab", "b-1@cn/hangzhou", "b-1@a@b", "oss://b-1", "b-1/exports", "b-1@-a"} {
		s := sink{"before", ""}
		if err := s.Set(text); err == nil || s.bucket != "before" {
			t.Errorf("%q was taken as %+v", text, s)
		}
	}
}
