package obs

import (
	"errors"
	"fmt"
	"html"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
)

func TestNoBucketIsNotFound(t *testing.T) {
	_, store := serve(t, nil)
	if _, err := fetchtest.Names(store.Objects(t.Context(), Selection{Bucket: "other"})); !errors.Is(err, fetch.ErrNotFound) || !strings.Contains(err.Error(), "NoSuchBucket") {
		t.Errorf("got %v, want ErrNotFound: NoSuchBucket", err)
	}
}

// Stores like S3 give no NextMarker, and some of them encode no keys.
func TestAStoreThatTellsNoMarkerAndEncodesNoKeys(t *testing.T) {
	want := []string{"100%.csv", "100%25.csv", "a b.csv", "a+b.csv", "é&<.csv"}
	srv, store := serve(t, nil)
	srv.intercept = func(w http.ResponseWriter, r *http.Request) bool {
		next := slices.IndexFunc(want, func(name string) bool { return "e/"+name > r.URL.Query().Get("marker") })
		fmt.Fprintf(w, "<ListBucketResult><IsTruncated>%t</IsTruncated><Contents><Key>%s</Key><Size>1</Size></Contents></ListBucketResult>",
			next < len(want)-1, html.EscapeString("e/"+want[next]))
		return true
	}
	got, err := fetchtest.Names(store.Objects(t.Context(), Selection{Bucket: bucket, Prefix: "e/"}))
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v; names (-want +got)\n%s", err, diff)
	}
}
