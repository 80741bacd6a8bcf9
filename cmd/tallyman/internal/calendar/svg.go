package calendar

import (
	_ "embed"
	"fmt"
	"html"
	"io"
	"strings"
	"time"

	"tallyman/verify/archive/coverage"
)

//go:embed calendar.css
var style string

// A Chart is the calendar of a group: a row for each month of its time, a cell for each day.
type Chart struct {
	Place, Group string
	Summary      string // in a few words
	Covers       *coverage.Group
}

// The sizes of a calendar, in pixels.
const (
	cellSize  = 22
	labelSize = 84 // of the names of months, before the first day
	rowGap    = 8
	headSize  = 64 // of a chart: its name, its summary, and the days
	legend    = 34
)

// A dayCell is a day of a month.
type dayCell struct {
	X           int
	Kind, Title string // as of a Cell, and in words
}

type monthRow struct {
	Y     int
	Name  string
	Cells []dayCell
}

// marks tell the kinds of days apart without colours.
var marks = map[string]string{Partly: "/", Lacking: "×", Settled: "–"}

// WriteSVG writes the calendars of groups as one SVG image, whose days are those of a zone. It
// can be read without colours, and by screen readers, and follows the colours of a system
// that is dark.
func WriteSVG(w io.Writer, charts []Chart, zone *time.Location) error {
	const width = labelSize + 31*cellSize + rowGap
	var summaries, drawing strings.Builder
	y := 0
	for i, c := range charts {
		fmt.Fprintf(&summaries, "%s %s: %s. ", html.EscapeString(c.Place), html.EscapeString(c.Group), html.EscapeString(c.Summary))
		months := monthsOf(c.Covers, zone)
		c.draw(&drawing, i, y, months)
		y += headSize + len(months)*(cellSize+rowGap) + rowGap
	}
	_, err := fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" role="img" aria-labelledby="title desc" font-family="system-ui, sans-serif" font-size="12">
<title id="title">Coverage by day, %s</title>
<desc id="desc">%s</desc>
<style>
%s</style>
%s<text x="8" y="%d">filled: covered, /: in part, ×: lacking, –: settled</text>
</svg>
`, width, y+legend, html.EscapeString(zone.String()), &summaries, style, &drawing, y+legend/2)
	return err
}

// draw draws the calendar of the chart, which is the id-th of an image, from a height.
func (c *Chart) draw(b *strings.Builder, id, y int, months []monthRow) {
	name := c.Place
	if c.Group != "" {
		name += "  " + c.Group
	}
	fmt.Fprintf(b, `<g transform="translate(0 %d)" role="group" aria-labelledby="chart%d">
<text id="chart%[2]d" x="8" y="18" font-weight="bold">%s</text>
<text x="8" y="36">%s</text>
<g aria-hidden="true">`, y, id, html.EscapeString(name), html.EscapeString(c.Summary))
	for day := range 31 {
		fmt.Fprintf(b, `<text class="mark" x="%d" y="54" font-size="10">%d</text>`, labelSize+day*cellSize+cellSize/2, day+1)
	}
	b.WriteString("</g>\n")
	for _, month := range months {
		fmt.Fprintf(b, `<g transform="translate(0 %d)"><text x="8" y="80">%s</text>`+"\n", month.Y, month.Name)
		for _, day := range month.Cells {
			fmt.Fprintf(b, `<g transform="translate(%d 64)"><title>%s</title><rect class="%s" x="1" y="1" width="%d" height="%[4]d" rx="3"/>`, day.X, day.Title, day.Kind, cellSize-2)
			if mark := marks[day.Kind]; mark != "" {
				fmt.Fprintf(b, `<text class="mark" x="%d" y="%[1]d" aria-hidden="true">%s</text>`, cellSize/2, mark)
			}
			b.WriteString("</g>\n")
		}
		b.WriteString("</g>\n")
	}
	b.WriteString("</g>\n")
}

// monthsOf are the months of the time of a group.
func monthsOf(g *coverage.Group, zone *time.Location) (months []monthRow) {
	if g.Within.IsEmpty() {
		return nil
	}
	at := time.Unix(g.Within.From, 0).In(zone)
	last := time.Unix(g.Within.To-1, 0).In(zone)
	for at = time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, zone); !at.After(last); at = at.AddDate(0, 1, 0) {
		row := monthRow{Y: len(months) * (cellSize + rowGap), Name: at.Format("Jan 2006")}
		for day := at; day.Month() == at.Month(); day = day.AddDate(0, 0, 1) {
			span := coverage.SpanOf(day, day.AddDate(0, 0, 1)).Clip(g.Within)
			if span.IsEmpty() {
				continue
			}
			kind := kindOf(g, span)
			title := day.Format("2006-01-02") + ": " + kind
			if gaps := coverage.Length(coverage.Common(g.Gaps, []coverage.Span{span})); gaps > 0 {
				title += ", " + gaps.String() + " lacking"
			}
			row.Cells = append(row.Cells, dayCell{X: labelSize + (day.Day()-1)*cellSize, Kind: kind, Title: title})
		}
		months = append(months, row)
	}
	return months
}
