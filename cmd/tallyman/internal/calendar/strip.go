// Package calendar draws which time a group of exports covers: as a line of text for a
// terminal, and as an SVG image with a row for each month.
package calendar

import (
	"cmp"
	"slices"
	"strings"

	"tallyman/verify/archive/coverage"
)

// The cells of a strip.
const (
	covered = "█" // or settled in part, and nothing is lacking
	partly  = "▒" // a part of it is lacking
	lacking = "·" // all that is not settled is lacking
	settled = "-"
)

// Legend says what the cells of a strip stand for.
const Legend = covered + " covered  " + partly + " in part  " + lacking + " lacking  " + settled + " settled"

// Strip draws the time of a group as so many cells of equal length. Whatever is lacking, if
// it is but a second, shows in its cell.
func Strip(g *coverage.Group, cells int) string {
	length := g.Within.To - g.Within.From
	if length <= 0 {
		return ""
	}
	cells = int(min(int64(cells), length))
	var strip strings.Builder
	for n := range int64(cells) {
		cell := coverage.Span{From: g.Within.From + length*n/int64(cells), To: g.Within.From + length*(n+1)/int64(cells)}
		strip.WriteString(cellOf(g, cell))
	}
	return strip.String()
}

// cellOf draws one cell.
func cellOf(g *coverage.Group, cell coverage.Span) string {
	isCovered, isLacking := meets(g.Covered, cell), meets(g.Gaps, cell)
	switch {
	case isCovered && isLacking:
		return partly
	case isCovered:
		return covered
	case isLacking:
		return lacking
	}
	return settled
}

// meets reports whether a part of a span is in any of spans.
func meets(spans []coverage.Span, span coverage.Span) bool {
	i, _ := slices.BinarySearchFunc(spans, span.From, func(s coverage.Span, from int64) int { return cmp.Compare(s.To, from+1) })
	return i < len(spans) && spans[i].From < span.To
}
