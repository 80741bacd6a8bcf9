package oss

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
)

func TestNoObjectSinceATimeIsNotFound(t *testing.T) {
	_, store := serve(t, map[string]*object{"old": {body: "x", modified: time.Unix(1, 0)}})
	_, err := fetchtest.Names(store.Objects(t.Context(), Selection{Bucket: bucket, Prefix: "old", Since: time.Unix(1722411060, 0)}))
	if want := `with the prefix "old" modified since 2024-07-31T07:31:00Z`; !errors.Is(err, fetch.ErrNotFound) || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestSelectionsByTimeAndName(t *testing.T) {
	at := func(s int64) *object { return &object{body: "x", modified: time.Unix(s, 0)} }
	_, store := serve(t, map[string]*object{
		"d/old.csv": at(100), "d/download-1.csv": at(200), "d/download-12.csv": at(200), "d/x_download-1_2.csv": at(300), "d/other.csv": at(300),
		"d/download-7.csv": at(100), "d/x2/download-22_download-2.csv": at(100),
	})
	store.PageSize = 2
	for _, c := range []struct {
		name string
		in   Selection
		want []string
	}{
		{"since, that second included", Selection{Since: time.Unix(200, 999)}, []string{"download-1.csv", "download-12.csv", "other.csv", "x_download-1_2.csv"}},
		{"named, as a word", Selection{JobName: "download-1"}, []string{"download-1.csv", "x_download-1_2.csv"}},
		{"named, as a word that is not the first like it", Selection{JobName: "download-2"}, []string{"x2/download-22_download-2.csv"}},
		{"named, but no name holds it", Selection{JobName: "download-99", Since: time.Unix(250, 0)}, []string{"other.csv", "x_download-1_2.csv"}},
		{"named, but what holds it is too old", Selection{JobName: "download-7", Since: time.Unix(250, 0)}, []string{"other.csv", "x_download-1_2.csv"}},
		{"the prefix does not count as a name", Selection{JobName: "d"}, []string{"download-1.csv", "download-12.csv", "download-7.csv", "old.csv", "other.csv", "x2/download-22_download-2.csv", "x_download-1_2.csv"}},
		{"named and since", Selection{JobName: "download-1", Since: time.Unix(300, 0)}, []string{"x_download-1_2.csv"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.in.Bucket, c.in.Prefix = bucket, "d/"
			got, err := fetchtest.Names(store.Objects(t.Context(), c.in))
			if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
				t.Errorf("%v; names (-want +got)\n%s", err, diff)
			}
		})
	}
}

// Old and small stores encode no keys. The SDK decodes them all the same: to it
// a+b.csv is "a b.csv", and 100%.csv an error.
func TestAStoreThatDoesNotEncodeKeys(t *testing.T) {
	want := []string{"100%.csv", "100%25.csv", "a b.csv", "a+b.csv", "é&<.csv"}
	objects := map[string]*object{}
	for _, name := range want {
		objects["e/"+name] = &object{body: name}
	}
	srv, store := serve(t, objects)
	srv.unencoded, store.PageSize = true, 2
	var got []string
	for o, err := range store.Objects(t.Context(), Selection{Bucket: bucket, Prefix: "e/"}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fetchtest.ReadAll(t, o, 0, 100))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("contents (-want +got)\n%s", diff)
	}
}
