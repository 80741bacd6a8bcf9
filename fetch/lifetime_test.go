package fetch_test

import (
	"context"
	"testing"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/verify"
)

func formatEnd(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.Format(time.RFC3339)
}

// The end of a signed URL is read in each of the ways that stores write it. A query that does
// not say is not guessed at, and one that is no signature has no end.
func TestTheEndOfASignedURLIsRead(t *testing.T) {
	t.Parallel()
	const oss4 = "x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-credential=c&x-oss-signature=s&"
	const amz = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=c&X-Amz-Signature=s&"
	for query, want := range map[string]string{
		"Expires=1666666666&OSSAccessKeyId=k&Signature=s":                                        "2022-10-25T02:57:46Z",
		"AccessKeyId=k&Expires=1666666666&Signature=s":                                           "2022-10-25T02:57:46Z",
		"AWSAccessKeyId=k&Expires=1666666666&Signature=s":                                        "2022-10-25T02:57:46Z",
		"x-oss-signature-version=OSS2&x-oss-expires=1666666666&x-oss-signature=s":                "2022-10-25T02:57:46Z",
		oss4 + "x-oss-date=20221025T000000Z&x-oss-expires=3600":                                  "2022-10-25T01:00:00Z",
		amz + "X-Amz-Date=20221025T000000Z&X-Amz-Expires=60":                                     "2022-10-25T00:01:00Z",
		amz + "X-Amz-Date=20221025T000000Z&X-Amz-Expires=60&Expires=1666666666":                  "2022-10-25T00:01:00Z",
		oss4 + "x-oss-expires=3600":                                                              "",
		oss4 + "x-oss-date=yesterday&x-oss-expires=3600":                                         "",
		oss4 + "x-oss-date=20221025T000000Z&x-oss-expires=604801":                                "",
		"x-oss-expires=3600&x-oss-signature=s":                                                   "",
		amz + "X-Amz-Expires=60":                                                                 "",
		amz + "X-Amz-Date=20221025T000000Z&X-Amz-Expires=-60":                                    "",
		"Expires=1666666666":                                                                     "",
		"Expires=1666666666&Signature=s":                                                         "",
		"Expires=1666666666&OSSAccessKeyId=k":                                                    "",
		"Expires=soon&OSSAccessKeyId=k&Signature=s":                                              "",
		"Expires=0&OSSAccessKeyId=k&Signature=s":                                                 "",
		"Expires=99999999999&OSSAccessKeyId=k&Signature=s":                                       "",
		"Expires=99999999999999999999&OSSAccessKeyId=k&Signature=s":                              "",
		"Expires=1666666666&OSSAccessKeyId=k&Signature=s%zz":                                     "",
		"Expires=1666666666&OSSAccessKeyId=k&Signature=s&other=%zz":                              "2022-10-25T02:57:46Z",
		"expires=1666666666&ossaccesskeyid=k&signature=s":                                        "",
		"x-oss-signature-version=OSS9&x-oss-date=20221025T000000Z&x-oss-expires=3600&Signature=": "",
		"token=only": "",
	} {
		ref, err := fetch.ParseRef("https://b.oss-cn-hangzhou.aliyuncs.com/a.csv?" + query)
		if err != nil {
			t.Fatal(err)
		}
		if got := formatEnd(ref.Ends()); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	if at := parseRef(t, "sls://cn-hangzhou/p/job").Ends(); !at.IsZero() {
		t.Errorf("a job: %v", at)
	}
}

// A result is there for its time from when its job ended, and that was after the job was last
// seen to go on.
func TestAResultLastsFromTheEndOfItsJob(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name    string
		life    fetch.Lifetime
		pending time.Time
		want    string
	}{
		{"it ended then", fetch.Lifetime{Ended: at, Lasts: 72 * time.Hour}, time.Time{}, "2026-12-03T08:00:00Z"},
		{"it still went on a day later", fetch.Lifetime{Ended: at, Lasts: 72 * time.Hour}, at.Add(24 * time.Hour), "2026-12-04T08:00:00Z"},
		{"it went on before", fetch.Lifetime{Ended: at, Lasts: 72 * time.Hour}, at.Add(-24 * time.Hour), "2026-12-03T08:00:00Z"},
		{"only that it went on is known", fetch.Lifetime{Lasts: 72 * time.Hour}, at, "2026-12-03T08:00:00Z"},
		{"nobody knows when it ended", fetch.Lifetime{Lasts: 72 * time.Hour}, time.Time{}, ""},
		{"it ended in a time that is none", fetch.Lifetime{Ended: time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), Lasts: 72 * time.Hour}, at, ""},
		{"nobody knows how long it lasts", fetch.Lifetime{Ended: at}, at, ""},
	} {
		if got := formatEnd(c.life.Ends(c.pending)); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// No query makes a time that can't be written down, or panics.
func FuzzURLEnds(f *testing.F) {
	f.Add("Expires=1666666666&OSSAccessKeyId=k&Signature=s")
	f.Add("x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-date=99991231T000000Z&x-oss-expires=604800&x-oss-signature=s")
	f.Add("X-Amz-Credential=c&X-Amz-Date=00010101T000000Z&X-Amz-Expires=1&X-Amz-Signature=s")
	f.Fuzz(func(t *testing.T, query string) {
		at := fetch.URLEnds(query)
		if _, err := at.MarshalJSON(); err != nil || !at.IsZero() && at.Unix() <= 0 {
			t.Errorf("%v, %v", at, err)
		}
	})
}

// A lasting is a provider whose results are there for a time.
type lasting struct {
	fetch.Provider
	life fetch.Lifetime
}

func (p lasting) Export(ctx context.Context, ref fetch.Ref) (*fetch.Export, error) {
	export, err := p.Provider.Export(ctx, ref)
	if err == nil {
		export.Life = p.life
	}
	return export, err
}

// Who polls a job that is ready is told how long its result is there.
func TestPollTellsTheLifetimeOfAResult(t *testing.T) {
	t.Parallel()
	ref := parseRef(t, exportRef)
	p := &fetchtest.Memory{Records: verify.Unknown, Files: []*fetchtest.File{fetchtest.NewFile("a.csv", csv(10))}}
	f := newMemoryFetcher(t, p)
	want := fetch.Lifetime{Ended: time.Now(), Lasts: time.Hour}
	f.Providers[ref.Scheme()] = lasting{p, want}
	var found fetch.Lifetime
	if err := f.Poll(fetch.WithLifetime(t.Context(), func(life fetch.Lifetime) { found = life }), ref); err != nil || found != want {
		t.Errorf("%v, %v, want %v", err, found, want)
	}
}
