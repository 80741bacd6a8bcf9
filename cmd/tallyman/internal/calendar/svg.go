package calendar

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"sync"
	"time"

	"tallyman/verify/archive/coverage"
)

//go:embed calendar.svg.tmpl
var svgText string

var svgTemplate = sync.OnceValue(func() *template.Template { return template.Must(template.New("svg").Parse(svgText)) })

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
	X, Y  int
	Kind  string // as of a Cell
	Mark  string // that tells the same without colours
	Title string
}

type monthRow struct {
	Y     int
	Name  string
	Cells []dayCell
}

type chartBox struct {
	ID           int
	Y            int
	Place, Group string
	Summary      string
	Days         []dayCell // the numbers above them
	Months       []monthRow
}

// marks tell the kinds of days apart without colours.
var marks = map[string]string{Partly: "/", Lacking: "×", Settled: "–"}

// WriteSVG writes the calendars of groups as one SVG image, whose days are those of a zone. It
// can be read without colours, and by screen readers, and follows the colours of a system
// that is dark.
func WriteSVG(w io.Writer, charts []Chart, zone *time.Location) error {
	y, boxes := 0, []chartBox{}
	for i, c := range charts {
		box := chartBox{ID: i, Y: y, Place: c.Place, Group: c.Group, Summary: c.Summary}
		for day := range 31 {
			box.Days = append(box.Days, dayCell{X: labelSize + day*cellSize + cellSize/2, Mark: fmt.Sprint(day + 1)})
		}
		box.Months = monthsOf(c.Covers, zone)
		boxes = append(boxes, box)
		y += headSize + len(box.Months)*(cellSize+rowGap) + rowGap
	}
	var b bytes.Buffer
	err := svgTemplate().Execute(&b, map[string]any{
		"Width": labelSize + 31*cellSize + rowGap, "Height": y + legend, "LegendY": y + legend/2, "Cell": cellSize - 2, "Half": cellSize / 2, "Charts": boxes, "Zone": zone.String(),
	})
	if err == nil {
		_, err = w.Write(b.Bytes())
	}
	return err
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
			row.Cells = append(row.Cells, dayCell{X: labelSize + (day.Day()-1)*cellSize, Kind: kind, Mark: marks[kind], Title: title})
		}
		months = append(months, row)
	}
	return months
}
