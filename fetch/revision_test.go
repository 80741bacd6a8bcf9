package fetch

import (
	"testing"
	"time"
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
