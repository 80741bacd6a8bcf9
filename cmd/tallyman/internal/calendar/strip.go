// Package calendar draws which time a group of exports covers: as a line of text for a
// terminal, and as an SVG image with a row for each month.
package calendar

import (
	"cmp"
	"slices"
	"strings"

	"tallyman/verify/archive/coverage"
)

// drawn are the cells as text, by their kinds.
var drawn = map[string]string{Covered: "█", Partly: "▒", Lacking: "·", Settled: "-"}

// Legend says what the cells of a strip stand for.
const Legend = "█ covered  ▒ in part  · lacking  - settled"

// A Cell is a part of a strip.
type Cell struct {
	coverage.Span
	Kind string // Covered, Partly, Lacking or Settled
}

// The kinds of cells.
const (
	Covered = "covered" // or settled in part, and nothing is lacking
	Partly  = "partly"  // a part of it is lacking
	Lacking = "lacking" // all that is not settled is lacking
	Settled = "settled"
)

// Cells divides the time of a group into so many cells of equal length, or fewer if it has
// fewer seconds. Whatever is lacking, if it is but a second, shows in its cell.
func Cells(g *coverage.Group, number int) (cells []Cell) {
	length := g.Within.To - g.Within.From
	number = int(max(0, min(int64(number), length)))
	for n := range int64(number) {
		span := coverage.Span{From: g.Within.From + length*n/int64(number), To: g.Within.From + length*(n+1)/int64(number)}
		cells = append(cells, Cell{span, kindOf(g, span)})
	}
	return cells
}

// Strip draws the cells of a group as text.
func Strip(g *coverage.Group, number int) string {
	var strip strings.Builder
	for _, cell := range Cells(g, number) {
		strip.WriteString(drawn[cell.Kind])
	}
	return strip.String()
}

// kindOf is the kind of a cell.
func kindOf(g *coverage.Group, cell coverage.Span) string {
	isCovered, isLacking := meets(g.Covered, cell), meets(g.Gaps, cell)
	switch {
	case isCovered && isLacking:
		return Partly
	case isCovered:
		return Covered
	case isLacking:
		return Lacking
	}
	return Settled
}

// meets reports whether a part of a span is in any of spans.
func meets(spans []coverage.Span, span coverage.Span) bool {
	i, _ := slices.BinarySearchFunc(spans, span.From, func(s coverage.Span, from int64) int { return cmp.Compare(s.To, from+1) })
	return i < len(spans) && spans[i].From < span.To
}
