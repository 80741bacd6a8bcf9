package verify

import (
	"encoding/json"
	"errors"
	"html"
	"io"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var etagCorpus = []string{
	"", `""`, `"FBA9DEDE5F27731C9771645A39863328"`, "fba9dede5f27731c9771645a39863328", `W/"fba9dede5f27731c9771645a39863328"`,
	`"FBA9DEDE5F27731C9771645A39863328-12"`, "&quot;fba9dede5f27731c9771645a39863328-1&quot;", "fba9dede5f27731c9771645a39863328-0",
	"fba9dede5f27731c9771645a39863328-10001", "fba9dede5f27731c9771645a39863328-+1", `W/"`, `"v1"`, `"a"b"`, " \t", "-", "W/W/x", "&#34;x&#34;",
}

var lowerHex32 = regexp.MustCompile(`^[0-9a-f]{32}$`)

// An ETag is a hash, of the bytes or of parts, only if it has exactly that form. It
// names the same version however it is quoted and escaped.
func FuzzETag(f *testing.F) {
	for i, s := range etagCorpus {
		f.Add(s, etagCorpus[(i+1)%len(etagCorpus)])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		x := parseETag(a)
		if hashes := x.form >= etagParts; hashes != (lowerHex32.MatchString(x.sum) && x.form != etagOpaque) || (x.form == etagParts) != (x.parts > 0) && hashes {
			t.Errorf("%q is %+v", a, x)
		}
		if SameETag(a, a) != (x.form != etagNone) || SameETag(a, b) != SameETag(b, a) {
			t.Errorf("%q and %q", a, b)
		}
		if x.form >= etagParts {
			for _, quoted := range []string{strings.ToUpper(x.text()), `"` + x.text() + `"`, html.EscapeString(`"` + x.text() + `"`), " " + x.text() + "\t"} {
				if parseETag(quoted) != x {
					t.Errorf("%q is %+v, %q is %+v", a, x, quoted, parseETag(quoted))
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

// Two promises merge alike in either order, or contradict each other in either. The
// result has both, and merging one of them again changes nothing.
func FuzzMerge(f *testing.F) {
	md5 := "fba9dede5f27731c9771645a39863328"
	for i, s := range etagCorpus {
		f.Add(int64(i%3-1), s, "", "7", int64(-1), etagCorpus[(i+5)%len(etagCorpus)], md5, "")
	}
	f.Add(int64(5), "", md5, "7", int64(5), "", strings.ToUpper(md5), "8")
	f.Fuzz(func(t *testing.T, size1 int64, etag1, md51, crc1 string, size2 int64, etag2, md52, crc2 string) {
		a, b := Want{max(size1, Unknown), etag1, md51, crc1, "", ""}, Want{max(size2, Unknown), etag2, md52, crc2, "", ""}
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

// referenceText counts the records that are not blank. It does not know JSON, so it
// is right for other text, or for any text if the delimiter is a newline.
func referenceText(delimiter, text string) (rows int64) {
	for record := range strings.SplitSeq(text, delimiter) {
		if strings.Trim(record, " \t\r\n") != "" {
			rows++
		}
	}
	return rows
}

func FuzzTextCounterAgreesWithReference(f *testing.F) {
	for _, delimiter := range []string{"\n", "|", ";", ",", "", "ab", "\x00", " ", "{", "\""} {
		f.Add(delimiter, "a|b;;c\r\n\n d ,", uint64(1))
		f.Add(delimiter, `{"a":"|\"}"}|{"b":[1,"]"]} ,[[2]];`, uint64(2))
	}
	f.Fuzz(func(t *testing.T, delimiter, text string, seed uint64) {
		plain := strings.TrimPrefix(text, byteOrderMark)
		if isUTF16(plain) {
			return
		}
		random := rand.New(rand.NewPCG(seed, 0))
		next := func() int { return random.IntN(1 + random.IntN(len(text)+1)) }
		got := countInPieces(Text(delimiter), "", text, next)
		if whole := countAtOnce(Text(delimiter), "", text); got != whole {
			t.Errorf("%q by %q in pieces: %+v, whole %+v", text, delimiter, got, whole)
		}
		switch {
		case len(delimiter) != 1:
			if got.Rows != Unknown {
				t.Errorf("%q by %q: %+v", text, delimiter, got)
			}
		case delimiter == "\n" || !strings.ContainsAny(text, "{["):
			if want := referenceText(delimiter, plain); got.Rows != want {
				t.Errorf("%q by %q: %d records, want %d", text, delimiter, got.Rows, want)
			}
		}
	})
}

// A record that is JSON counts once, even if it contains the delimiter.
func FuzzTextCounterCountsJSON(f *testing.F) {
	for _, s := range []string{`{"a":"|\"}"}`, `[1,"]",{"b":null}]`, `{}`, `{"\\":"\\\""}`, ` [ ] `} {
		f.Add(s, "|", uint8(3))
	}
	f.Fuzz(func(t *testing.T, record, delimiter string, n uint8) {
		record = strings.Trim(record, " \t\r\n")
		if len(delimiter) != 1 || strings.Contains(" \t\r\n{[", delimiter) || !json.Valid([]byte(record)) || record[0] != '{' && record[0] != '[' {
			return
		}
		text := strings.Repeat(record+delimiter, int(n))
		if got := countAtOnce(Text(delimiter), "", text); got.Rows != int64(n) {
			t.Errorf("%d of %q by %q: %+v", n, record, delimiter, got)
		}
	})
}

func FuzzWireGivesEOFIfAndOnlyIfEveryPromiseIsTrue(f *testing.F) {
	f.Add([]byte(text), uint8(0xff), int8(0), uint8(0))
	f.Add([]byte(text), uint8(1), int8(1), uint8(3))
	f.Add([]byte(""), uint8(3), int8(-1), uint8(9))
	f.Add([]byte(text), uint8(0), int8(0), uint8(0))
	f.Add([]byte(text), uint8(0x70), int8(0), uint8(1))
	f.Fuzz(func(t *testing.T, body []byte, promises uint8, off int8, pieces uint8) {
		want, lies := NoPromise(), false
		promise := func(bit int, field *string, truth, lie string) {
			if promises&(1<<bit) == 0 {
				return
			}
			*field = truth
			if promises&(1<<(bit+4)) == 0 {
				*field, lies = lie, true
			}
		}
		if promises&1 != 0 {
			want.Size = max(0, int64(len(body))+int64(off))
			lies = want.Size != int64(len(body))
		}
		promise(1, &want.CRC64, crcOf(string(body)), "1")
		promise(2, &want.MD5, md5Of(string(body)), otherMD5)
		proven := want.CRC64 != "" || want.MD5 != ""
		if promises&8 != 0 {
			want.ETag = strings.ToUpper(md5Of(string(body)))
			if promises&0x80 == 0 {
				want.ETag, lies = otherMD5, lies || !proven
			}
		}
		held := want != NoPromise() && !lies && crcOf(string(body)) != "1"
		rest := body
		w, got, err := readWire(want, readerFunc(func(p []byte) (n int, err error) {
			n = copy(p[:min(len(p), int(pieces)+1)], rest)
			if rest = rest[n:]; len(rest) == 0 {
				err = io.EOF
			}
			return n, err
		}))
		if (err == nil) != held || (w.Result().Verdict == io.EOF) != held || held && got != string(body) {
			t.Errorf("%+v over %q: %v, want held %v", want, body, err, held)
		}
		if err != nil && errors.Is(err, io.EOF) {
			t.Errorf("%v is io.EOF", err)
		}
	})
}
