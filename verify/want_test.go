package verify

import (
	"errors"
	"testing"
)

func TestMergeKeepsWhatEitherPromises(t *testing.T) {
	const size = 1 << 40
	for _, tt := range []struct {
		name             string
		one, other, want Want
	}{
		{"nothing", NoPromise(), NoPromise(), NoPromise()},
		{"size", Want{Size: size}, NoPromise(), Want{Size: size}},
		{"zero is a size", Want{Size: 0}, NoPromise(), Want{Size: 0}},
		{"equal sizes", Want{Size: size}, Want{Size: size}, Want{Size: size}},
		{"MD5", Want{Size: Unknown, MD5: lowerMD5}, NoPromise(), Want{Size: Unknown, MD5: lowerMD5}},
		{"CRC64", Want{Size: Unknown, CRC64: "0"}, NoPromise(), Want{Size: Unknown, CRC64: "0"}},
		{"time", Want{Modified: "2026-12-01T06:00:00Z"}, Want{}, Want{Modified: "2026-12-01T06:00:00Z"}},
		{"equal sums", Want{size, "", lowerMD5, "7", "", ""}, Want{size, "", lowerMD5, "7", "", ""}, Want{size, "", lowerMD5, "7", "", ""}},
		{"one of each", Want{Size: size, CRC64: "7"}, Want{Unknown, "null", lowerMD5, "", "", ""}, Want{size, "null", lowerMD5, "7", "", ""}},
		{"an MD5 does not contradict an ETag", Want{Unknown, "", lowerMD5, "", "", ""}, Want{Unknown, otherMD5, "", "", "", ""}, Want{Unknown, otherMD5, lowerMD5, "", "", ""}},
	} {
		for _, pair := range [][2]Want{{tt.one, tt.other}, {tt.other, tt.one}} {
			if got, err := pair[0].Merge("o", pair[1]); got != tt.want || err != nil {
				t.Errorf("%s: %+v, %v, want %+v", tt.name, got, err, tt.want)
			}
		}
	}
}

func TestMergeOfContradictingPromisesIsAMismatch(t *testing.T) {
	tag := func(s string) Want { return Want{Size: Unknown, ETag: s} }
	for _, tt := range []struct {
		name     string
		w, other Want
		want     Mismatch
	}{
		{"size", Want{Size: 5}, Want{Size: 6}, Mismatch{"o", CheckSize, "6", "5"}},
		{"size zero", Want{Size: 5}, Want{Size: 0}, Mismatch{"o", CheckSize, "0", "5"}},
		{"MD5", Want{MD5: lowerMD5}, Want{MD5: otherMD5}, Mismatch{"o", CheckMD5, otherMD5, lowerMD5}},
		{"CRC64", Want{CRC64: "7"}, Want{CRC64: "8"}, Mismatch{"o", CheckCRC64, "8", "7"}},
		{"CRC64 zero", Want{CRC64: "7"}, Want{CRC64: "0"}, Mismatch{"o", CheckCRC64, "0", "7"}},
		{"hash ETags", tag(upperMD5), tag(`"` + otherMD5 + `"`), Mismatch{"o", CheckETag, `"` + otherMD5 + `"`, upperMD5}},
		{"ETags of parts", tag(upperMD5 + "-3"), tag(otherMD5 + "-3"), Mismatch{"o", CheckETag, otherMD5 + "-3", upperMD5 + "-3"}},
		{"numbers of parts", tag(upperMD5 + "-3"), tag(upperMD5 + "-4"), Mismatch{"o", CheckETag, upperMD5 + "-4", upperMD5 + "-3"}},
		{"one of many", Want{5, "null", lowerMD5, "7", "", ""}, Want{5, "null", lowerMD5, "8", "", ""}, Mismatch{"o", CheckCRC64, "8", "7"}},
	} {
		_, err := tt.w.Merge("o", tt.other)
		var mismatch *Mismatch
		if !errors.As(err, &mismatch) || *mismatch != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, err, &tt.want)
		}
	}
}

func TestMergeKeepsTheETagThatSaysMore(t *testing.T) {
	for _, tt := range []struct{ w, other, want string }{
		{"", "", ""},
		{"", "null", "null"},
		{"null", "", "null"},
		{`""`, upperMD5, upperMD5},
		{upperMD5, `"` + lowerMD5 + `"`, upperMD5},
		{`"` + lowerMD5 + `"`, upperMD5, `"` + lowerMD5 + `"`},
		{upperMD5 + "-3", "&quot;" + lowerMD5 + "-3&quot;", upperMD5 + "-3"},
		{"EXSFGSDASDASDG123ASD", `"` + upperMD5 + `"`, `"` + upperMD5 + `"`},
		{`"` + upperMD5 + `"`, "EXSFGSDASDASDG123ASD", `"` + upperMD5 + `"`},
		{"EXSFGSDASDASDG123ASD", upperMD5 + "-3", upperMD5 + "-3"},
		{"EXSFGSDASDASDG123ASD", "null", "EXSFGSDASDASDG123ASD"},
		{upperMD5 + "-3", otherMD5, otherMD5},
		{otherMD5, upperMD5 + "-3", otherMD5},
		{`W/"` + upperMD5 + `"`, otherMD5, otherMD5},
		{`W/"` + upperMD5 + `"`, `W/"` + otherMD5 + `"`, `W/"` + upperMD5 + `"`},
	} {
		got, err := Want{Size: Unknown, ETag: tt.w}.Merge("o", Want{Size: Unknown, ETag: tt.other})
		if want := (Want{Size: Unknown, ETag: tt.want}); got != want || err != nil {
			t.Errorf("%s and %s: %+v, %v, want %s", tt.w, tt.other, got, err, tt.want)
		}
	}
}

func TestMismatchNamesObjectCheckAndBothValues(t *testing.T) {
	err := &Mismatch{Object: "a.csv.zst", Check: CheckSize, Got: "6", Want: "5"}
	if got, want := err.Error(), "a.csv.zst: size is 6, promised 5"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
