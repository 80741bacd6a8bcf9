package coverage

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// seconds is the naive model: how many of the spans have each of the first 256 seconds.
func seconds(spans []Span) (count [256]int) {
	for _, s := range spans {
		for at := s.From; at < s.To; at++ {
			count[at]++
		}
	}
	return count
}

// isLeast reports whether spans are in their order, and no two of them could be one.
func isLeast(spans []Span) bool {
	for i, s := range spans {
		if s.IsEmpty() || i > 0 && spans[i-1].To >= s.From {
			return false
		}
	}
	return true
}

// Whatever the spans, and in whatever order they come, each second is where counting it
// says that it is.
func FuzzSpans(f *testing.F) {
	f.Add([]byte{0, 10, 10, 20, 15, 30, 40, 40, 50, 45}, byte(0), byte(60))
	f.Add([]byte{9, 3, 200, 255, 0, 255}, byte(100), byte(50))
	f.Add([]byte{}, byte(3), byte(9))
	f.Fuzz(func(t *testing.T, b []byte, from, to byte) {
		var spans []Span
		for len(b) > 1 && len(spans) < 50 {
			spans = append(spans, Span{int64(b[0]), int64(b[1])})
			b = b[2:]
		}
		within := Span{int64(from), int64(to)}
		half := len(spans) / 2
		union, overlaps, gaps, common := Union(spans), Overlaps(spans), Gaps(spans, within), Common(spans[:half], spans[half:])
		if !isLeast(union) || !isLeast(overlaps) || !isLeast(gaps) || !isLeast(common) {
			t.Fatalf("of %v: the union %v, the overlaps %v, the gaps %v in %v and what halves have in common, %v, are not the fewest in order", spans, union, overlaps, gaps, within, common)
		}
		want, inUnion, inOverlaps, inGaps, inCommon := seconds(spans), seconds(union), seconds(overlaps), seconds(gaps), seconds(common)
		first, second := seconds(spans[:half]), seconds(spans[half:])
		var length time.Duration
		for at, n := range want {
			if n > 0 {
				length += time.Second
			}
			isAsked := int64(at) >= within.From && int64(at) < within.To
			if inUnion[at] != min(n, 1) || (inOverlaps[at] == 1) != (n > 1) || (inGaps[at] == 1) != (isAsked && n == 0) || (inCommon[at] == 1) != (first[at] > 0 && second[at] > 0) {
				t.Fatalf("second %d is in %d of %v: union %v, overlaps %v, gaps %v in %v, common %v", at, n, spans, union, overlaps, gaps, within, common)
			}
		}
		if got := Length(union); got != length {
			t.Errorf("the length of %v is %v, want %v", union, got, length)
		}
	})
}

func TestSpan(t *testing.T) {
	hour := SpanOf(time.Unix(3600, 0), time.Unix(7200, 999))
	if diff := cmp.Diff(Span{3600, 7200}, hour); diff != "" || hour.Length() != time.Hour {
		t.Error(diff, hour.Length())
	}
	if got := hour.Clip(Span{5000, 9000}); got != (Span{5000, 7200}) {
		t.Errorf("%v", got)
	}
	if got := hour.Clip(Span{0, 100}); !got.IsEmpty() || got.Length() != 0 {
		t.Errorf("%v", got)
	}
}
