package verify

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
)

const (
	upperMD5 = "FBA9DEDE5F27731C9771645A39863328"
	lowerMD5 = "fba9dede5f27731c9771645a39863328"
	otherMD5 = "0f7230caa4be94ccbdc99c5500000000"
)

func TestParseETagReadsEveryFormThatServicesGive(t *testing.T) {
	parts := func(n int) etag { return etag{etagParts, lowerMD5, n} }
	opaque := func(s string) etag { return etag{form: etagOpaque, sum: s} }
	for _, tt := range []struct {
		in   string
		want etag
	}{
		{"", etag{}},
		{`""`, etag{}},
		{" ", etag{}},
		{`W/""`, etag{}},
		{"&quot;&quot;", etag{}},
		{upperMD5, etag{form: etagMD5, sum: lowerMD5}},
		{lowerMD5, etag{form: etagMD5, sum: lowerMD5}},
		{`"` + upperMD5 + `"`, etag{form: etagMD5, sum: lowerMD5}},
		{` "` + lowerMD5 + `" `, etag{form: etagMD5, sum: lowerMD5}},
		{"&quot;" + upperMD5 + "&quot;", etag{form: etagMD5, sum: lowerMD5}},
		{"&#34;" + upperMD5 + "&#34;", etag{form: etagMD5, sum: lowerMD5}},
		{upperMD5 + "-1", parts(1)},
		{`"` + upperMD5 + `-3"`, parts(3)},
		{`"` + lowerMD5 + `-10000"`, parts(10000)},
		{"&quot;" + upperMD5 + "-3&quot;", parts(3)},
		{upperMD5 + "-0", opaque(upperMD5 + "-0")},
		{upperMD5 + "-10001", opaque(upperMD5 + "-10001")},
		{upperMD5 + "-", opaque(upperMD5 + "-")},
		{upperMD5 + "-x", opaque(upperMD5 + "-x")},
		{upperMD5 + "-3-3", opaque(upperMD5 + "-3-3")},
		{upperMD5[1:], opaque(upperMD5[1:])},
		{upperMD5 + "0", opaque(upperMD5 + "0")},
		{"G" + upperMD5[1:], opaque("G" + upperMD5[1:])},
		{"EXSFGSDASDASDG123ASD", opaque("EXSFGSDASDASDG123ASD")},
		{`"null"`, opaque("null")},
		{`"68ad3c2e-1f4"`, opaque("68ad3c2e-1f4")},
		{`W/"` + upperMD5 + `"`, opaque(lowerMD5)},
		{`W/"` + upperMD5 + `-3"`, etag{etagOpaque, lowerMD5, 3}},
		{`W/"68ad3c2e-1f4"`, opaque("68ad3c2e-1f4")},
	} {
		if got := parseETag(tt.in); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.in, got, tt.want)
		}
	}
}

func TestSameETagSeesThroughQuotesCaseAndWeakness(t *testing.T) {
	same := [][]string{
		{upperMD5, lowerMD5, `"` + upperMD5 + `"`, "&quot;" + lowerMD5 + "&quot;", `W/"` + upperMD5 + `"`},
		{upperMD5 + "-3", `"` + lowerMD5 + `-3"`, `W/"` + lowerMD5 + `-3"`},
		{upperMD5 + "-4"},
		{otherMD5, strings.ToUpper(otherMD5)},
		{"68ad3c2e-1f4", `"68ad3c2e-1f4"`, `W/"68ad3c2e-1f4"`},
		{"68AD3C2E-1F4"},
		{"null"},
	}
	for i, a := range same {
		for j, b := range same {
			for _, x := range a {
				for _, y := range b {
					if got := SameETag(x, y); got != (i == j) {
						t.Errorf("SameETag(%s, %s) = %v", x, y, got)
					}
				}
			}
		}
	}
}

func TestWeakAndAbsentETagsAreNotStrong(t *testing.T) {
	for s, want := range map[string]bool{`"v1"`: true, "v1": true, upperMD5: true, "null": true, `W/"v1"`: false, ` W/"v1"`: false, `W/v1`: false, "": false, `""`: false} {
		if got := IsStrongETag(s); got != want {
			t.Errorf("IsStrongETag(%q) = %v", s, got)
		}
	}
}

func TestAbsentETagsNameNoVersion(t *testing.T) {
	for _, absent := range []string{"", `""`, `W/""`, "&quot;&quot;"} {
		for _, other := range []string{"", `""`, upperMD5, "null"} {
			if SameETag(absent, other) || SameETag(other, absent) {
				t.Errorf("%q and %q are the same", absent, other)
			}
		}
	}
}

// The vendor publishes an example: the MD5s of the parts, and the ETag of the object.
func TestPartsHashGivesThePublishedETag(t *testing.T) {
	h := newPartsHash(1)
	for _, sum := range []string{"3349DC700140D7F86A078484278075A9", "8EFDA8BE206636A695359836FE0A0E0A", "8C315065167132444177411FDA149B92"} {
		b, err := hex.DecodeString(sum)
		if err != nil {
			t.Fatal(err)
		}
		h.add(b)
	}
	for etag, want := range map[string]bool{
		`"B864DB6A936D376F9F8D3ED3BBE540DD-3"`: true,
		"b864db6a936d376f9f8d3ed3bbe540dd-3":   true,
		"B864DB6A936D376F9F8D3ED3BBE540DD-2":   false,
		"B864DB6A936D376F9F8D3ED3BBE540DE-3":   false,
	} {
		if got := h.is(parseETag(etag)); got != want {
			t.Errorf("%s: %v", etag, got)
		}
	}
}

// multipartETag is the ETag of an upload in parts. encode is how the store writes the
// MD5s that it hashes.
func multipartETag(body []byte, part int, encode func([]byte) []byte) string {
	var sums []byte
	n := 0
	for ; len(body) > 0; n++ {
		sum := md5.Sum(body[:min(part, len(body))])
		sums = append(sums, encode(sum[:])...)
		body = body[min(part, len(body)):]
	}
	return fmt.Sprintf("%x-%d", md5.Sum(sums), n)
}

var rules = map[string]func([]byte) []byte{
	"OSS": func(sum []byte) []byte { return fmt.Appendf(nil, "%X", sum) },
	"S3":  func(sum []byte) []byte { return sum },
}

func noise(size int) []byte {
	body := make([]byte, size)
	rand.NewChaCha8([32]byte{1}).Read(body)
	return body
}

func TestTheETagOfAnUploadInPartsProvesItsBytes(t *testing.T) {
	for _, tt := range []struct{ size, part int }{
		{1, 1 << 20},
		{100 << 10, 100 << 10},
		{250 << 10, 100 << 10},
		{1<<20 + 1, 100 << 10},
		{1 << 20, 1 << 20},
		{2<<20 + 12345, 1 << 20},
		{7<<20 - 1, 5 << 20},
		{1000, 100}, // not a multiple of a usual size
	} {
		body := noise(tt.size)
		for rule, encode := range rules {
			etag := multipartETag(body, tt.part, encode)
			w, _, err := readWire(Want{Size: int64(tt.size), ETag: strings.ToUpper(etag)}, iotest.HalfReader(strings.NewReader(string(body))))
			if err != nil || w.Result().Proof != CheckETag {
				t.Errorf("%d bytes in parts of %d by the rule of %s: %v, proof %q", tt.size, tt.part, rule, err, w.Result().Proof)
			}
		}
	}
}

func TestAnETagOfPartsDoesNotProveOtherBytes(t *testing.T) {
	body := noise(250 << 10)
	for rule, encode := range rules {
		etag := multipartETag(body, 100<<10, encode)
		flipped := strings.Clone(string(body[:99])) + "\x00" + string(body[100:])
		if flipped == string(body) {
			t.Fatal("nothing was flipped")
		}
		w, _, err := readWire(Want{Size: int64(len(body)), ETag: etag}, strings.NewReader(flipped))
		if err != nil || w.Result().Proof != CheckSize {
			t.Errorf("%s: %v, proof %q", rule, err, w.Result().Proof)
		}
	}
}

func TestPartsAreHashedOnlyWhereNothingBetterIsPromised(t *testing.T) {
	etag := otherMD5 + "-3"
	for _, tt := range []struct {
		want    Want
		guesses bool
	}{
		{Want{Size: 9 << 20, ETag: etag}, true},
		{Want{Size: 9 << 20, ETag: etag, CRC64: "1"}, false},
		{Want{Size: 9 << 20, ETag: etag, MD5: otherMD5}, false},
		{Want{Size: Unknown, ETag: etag}, false},
		{Want{Size: 0, ETag: etag}, false},
		{Want{Size: 9 << 20, ETag: otherMD5}, false},
	} {
		w := NewWire("o", tt.want, strings.NewReader(""))
		if (len(w.parts) > 0) != tt.guesses || len(w.parts) > maxGuesses {
			t.Errorf("%+v: %d sizes are tried", tt.want, len(w.parts))
		}
	}
}

func TestEachGuessedSizeMakesThatManyParts(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		size, count := random.Int64N(1<<random.IntN(42))+1, random.IntN(maxParts)+1
		for _, h := range guessParts(size, count) {
			if parts := (size + h.size - 1) / h.size; parts != int64(count) {
				t.Fatalf("%d bytes in parts of %d are %d parts, not %d", size, h.size, parts, count)
			}
		}
	}
}

func BenchmarkWire(b *testing.B) {
	body := string(noise(8 << 20))
	size := int64(len(body))
	for _, bb := range []struct {
		name string
		want Want
	}{
		{"crc64", Want{Size: size, CRC64: crcOf(body)}},
		{"md5", Want{Size: size, MD5: md5Of(body)}},
		{"parts", Want{Size: size, ETag: multipartETag([]byte(body), 1<<20, rules["OSS"])}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				if _, err := io.Copy(io.Discard, NewWire("o", bb.want, strings.NewReader(body))); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
