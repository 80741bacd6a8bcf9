package verify

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
)

// referenceText counts records that are not JSON, or whose delimiter is a
// newline: those that have more than space in them.
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
		if isUTF16([]byte(plain)) {
			return
		}
		random := rand.New(rand.NewPCG(seed, 0))
		next := func() int { return random.IntN(1 + random.IntN(len(text)+1)) }
		got := countInPieces(Text(delimiter), "", text, next)
		if whole := countWhole(Text(delimiter), "", text); got != whole {
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

// Records that are JSON are counted one each, whatever is in them.
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
		if got := countWhole(Text(delimiter), "", text); got.Rows != int64(n) {
			t.Errorf("%d of %q by %q: %+v", n, record, delimiter, got)
		}
	})
}
