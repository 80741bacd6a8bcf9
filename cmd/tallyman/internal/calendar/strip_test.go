package calendar

import (
	"strings"
	"testing"

	"tallyman/verify/archive/coverage"
)

func group(length int64, covered, settled []coverage.Span) *coverage.Group {
	within := coverage.Span{From: 1000, To: 1000 + length}
	return &coverage.Group{Within: within, Covered: covered, Settled: settled, Gaps: coverage.Gaps(append(covered[:len(covered):len(covered)], settled...), within)}
}

// Whatever is lacking shows, however short it is.
func TestStrip(t *testing.T) {
	for _, tt := range []struct {
		name  string
		group *coverage.Group
		want  string
	}{
		{"all", group(100, []coverage.Span{{From: 1000, To: 1100}}, nil), "██████████"},
		{"nothing", group(100, nil, nil), "··········"},
		{"a second lacks", group(1_000_000, []coverage.Span{{From: 1000, To: 501_000}, {From: 501_001, To: 1_001_000}}, nil), "█████▒████"},
		{"a second is there", group(1_000_000, []coverage.Span{{From: 501_000, To: 501_001}}, nil), "·····▒····"},
		{"settled", group(100, []coverage.Span{{From: 1000, To: 1050}}, []coverage.Span{{From: 1050, To: 1080}}), "█████---··"},
		{"settled in part", group(100, []coverage.Span{{From: 1000, To: 1055}}, []coverage.Span{{From: 1055, To: 1100}}), "██████----"},
		{"shorter than the cells", group(3, []coverage.Span{{From: 1001, To: 1003}}, nil), "·██"},
		{"no time", group(0, nil, nil), ""},
	} {
		if got := Strip(tt.group, 10); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	for _, cell := range drawn {
		if !strings.Contains(Legend, cell+" ") {
			t.Errorf("the legend has no %s", cell)
		}
	}
}
