package fetch

import (
	"testing"
	"time"

	"tallyman/verify/archive"
)

func TestWithRevisionIsTheSameExportUnderAnotherKey(t *testing.T) {
	at := time.Date(2026, 1, 2, 4, 4, 5, 6, time.FixedZone("", 3600))
	for text, want := range map[string]string{
		"sls://cn-hangzhou/project/job@":     "sls/cn-hangzhou/project/job%40@20260102T030405Z",
		"dms://cn-hangzhou/1/key?tid=7":      "dms/cn-hangzhou/1/key%3Ftid=7@20260102T030405Z",
		"oss://bucket/prefix/?region=cn-x":   "oss/bucket/prefix%2F@20260102T030405Z",
		"https://host/path/file.csv#size=12": "https/host/path%2Ffile.csv@20260102T030405Z",
	} {
		first, err := ParseRef(text)
		if err != nil {
			t.Fatal(err)
		}
		more := first.WithRevision(at)
		if more.Key() != want || more.String() != first.String() || more.Hash() == first.Hash() || more.Want() != first.Want() {
			t.Errorf("%s: key %s, reference %s", text, more.Key(), more)
		}
		if later := more.WithRevision(at.Add(time.Second)); later.Key() != first.Key()+"@20260102T030406Z" {
			t.Errorf("%s, twice: %s", text, later.Key())
		}
	}
}

// A repair is of the same export, under a key that no other reference has; and what landed
// is found by its key alone.
func TestWithRepairIsTheSameExportUnderAKeyOfItsOwn(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, text := range []string{
		"sls://cn-hangzhou/project/job@", "dms://cn-hangzhou/1/key?tid=7", "oss://bucket/a b/[1]?region=cn-x", "oss://bucket/",
		"https://host/path/file.csv?page=2#size=12",
	} {
		first, err := ParseRef(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, ref := range []Ref{first, first.WithRevision(at)} {
			repair := ref.WithRepair()
			if repair.Key() != archive.RepairKey(ref.Key()) || repair.String() != ref.String() || repair.Want() != ref.Want() || !repair.Repair() || repair.unrevised().Repair() {
				t.Errorf("%s: key %s, reference %s", text, repair.Key(), repair)
			}
			if got, ok := RefAt(ref.Key(), ref.String()); !ok || got.Key() != ref.Key() || got.String() != ref.String() {
				t.Errorf("%s: at its key is %s, %t", text, got, ok)
			}
			if got, ok := RefAt(ref.Key(), ""); !ok || got.Key() != ref.Key() {
				t.Errorf("%s: by its key alone it is %s, %t", text, got, ok)
			}
		}
		if got, ok := RefAt("sls/cn-hangzhou/project/other", text); ok {
			t.Errorf("%s is taken for %s", text, got)
		}
	}
	if got, ok := RefAt("nonsense", ""); ok {
		t.Errorf("%s", got)
	}
}
