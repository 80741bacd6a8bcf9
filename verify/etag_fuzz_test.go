package verify

import (
	"html"
	"strconv"
	"strings"
	"testing"
)

var etagCorpus = []string{
	"", `""`, `"FBA9DEDE5F27731C9771645A39863328"`, "fba9dede5f27731c9771645a39863328", `W/"fba9dede5f27731c9771645a39863328"`,
	`"FBA9DEDE5F27731C9771645A39863328-12"`, "&quot;fba9dede5f27731c9771645a39863328-1&quot;", "fba9dede5f27731c9771645a39863328-0",
	"fba9dede5f27731c9771645a39863328-10001", "fba9dede5f27731c9771645a39863328-+1", `W/"`, `"v1"`, `"a"b"`, " \t", "-", "W/W/x", "&#34;x&#34;",
}

// An ETag is one of MD5 or of parts only if it has that form and no other, and
// it names the same version however it is dressed.
func FuzzETag(f *testing.F) {
	for i, s := range etagCorpus {
		f.Add(s, etagCorpus[(i+1)%len(etagCorpus)])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		x := parseETag(a)
		if hashes := x.form >= etagParts; hashes != (isHex32(x.sum) && x.sum == strings.ToLower(x.sum) && x.form != etagOpaque) || (x.form == etagParts) != (x.parts > 0) && hashes {
			t.Errorf("%q is %+v", a, x)
		}
		if SameETag(a, a) != (x.form != etagNone) || SameETag(a, b) != SameETag(b, a) {
			t.Errorf("%q and %q", a, b)
		}
		if x.form >= etagParts {
			for _, dressed := range []string{strings.ToUpper(x.text()), `"` + x.text() + `"`, html.EscapeString(`"` + x.text() + `"`), " " + x.text() + "\t"} {
				if parseETag(dressed) != x {
					t.Errorf("%q is %+v, %q is %+v", a, x, dressed, parseETag(dressed))
				}
			}
			if weak := parseETag(`W/"` + x.text() + `"`); weak.form != etagOpaque || !SameETag(a, `W/"`+x.text()+`"`) {
				t.Errorf("weak, %q is %+v", a, weak)
			}
		}
	})
}

func (e etag) text() string {
	if e.form == etagParts {
		return e.sum + "-" + strconv.Itoa(e.parts)
	}
	return e.sum
}

// Promises are merged alike in either order, or contradict in either; what is
// merged holds both, and to merge it once more changes nothing.
func FuzzMerge(f *testing.F) {
	md5 := "fba9dede5f27731c9771645a39863328"
	for i, s := range etagCorpus {
		f.Add(int64(i%3-1), s, "", "7", int64(-1), etagCorpus[(i+5)%len(etagCorpus)], md5, "")
	}
	f.Add(int64(5), "", md5, "7", int64(5), "", strings.ToUpper(md5), "8")
	f.Fuzz(func(t *testing.T, size1 int64, etag1, md51, crc1 string, size2 int64, etag2, md52, crc2 string) {
		a, b := Want{max(size1, Unknown), etag1, md51, crc1}, Want{max(size2, Unknown), etag2, md52, crc2}
		ab, errA := a.Merge("o", b)
		ba, errB := b.Merge("o", a)
		if (errA == nil) != (errB == nil) {
			t.Fatalf("%+v and %+v: %v, the other way %v", a, b, errA, errB)
		}
		if errA != nil {
			return
		}
		if ab.Size != ba.Size || !strings.EqualFold(ab.MD5, ba.MD5) || !strings.EqualFold(ab.CRC64, ba.CRC64) || parseETag(ab.ETag).form != parseETag(ba.ETag).form {
			t.Errorf("%+v and %+v: %+v, the other way %+v", a, b, ab, ba)
		}
		for _, one := range []Want{a, b, ab} {
			if again, err := ab.Merge("o", one); err != nil || again != ab {
				t.Errorf("%+v with %+v: %+v, %v", ab, one, again, err)
			}
		}
	})
}
