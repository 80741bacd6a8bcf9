package verify

import (
	"strings"
	"testing"
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

func TestAbsentETagsNameNoVersion(t *testing.T) {
	for _, absent := range []string{"", `""`, `W/""`, "&quot;&quot;"} {
		for _, other := range []string{"", `""`, upperMD5, "null"} {
			if SameETag(absent, other) || SameETag(other, absent) {
				t.Errorf("%q and %q are the same", absent, other)
			}
		}
	}
}
