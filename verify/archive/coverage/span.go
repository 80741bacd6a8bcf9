package coverage

import (
	"cmp"
	"slices"
	"time"
)

// A Span is a time, in seconds since 1970: From is in it, and To is not. One that does not
// begin before its end is empty.
type Span struct{ From, To int64 }

// SpanOf returns the span from one time to another, in whole seconds.
func SpanOf(from, to time.Time) Span { return Span{from.Unix(), to.Unix()} }

// IsEmpty reports whether there is no time in the span.
func (s Span) IsEmpty() bool { return s.From >= s.To }

// Length is how long the span is.
func (s Span) Length() time.Duration { return time.Duration(max(0, s.To-s.From)) * time.Second }

// Clip returns the part of the span that is in another; it may be empty.
func (s Span) Clip(within Span) Span { return Span{max(s.From, within.From), min(s.To, within.To)} }

// Length is how long spans are together that have no time in common.
func Length(spans []Span) (sum time.Duration) {
	for _, s := range spans {
		sum += s.Length()
	}
	return sum
}

// Union returns the time that is in any of the spans, as the fewest spans that have it, in
// their order.
func Union(spans []Span) []Span {
	var m merger
	m.addAll(spans)
	return m.union
}

// Overlaps returns the time that is in two of the spans or more, as Union does.
func Overlaps(spans []Span) []Span {
	var m merger
	m.addAll(spans)
	return m.twice
}

// Gaps returns the time of within that is in none of the spans, as Union does.
func Gaps(spans []Span, within Span) (gaps []Span) {
	at := within.From
	for _, s := range Union(spans) {
		if gap := (Span{at, min(s.From, within.To)}); !gap.IsEmpty() {
			gaps = append(gaps, gap)
		}
		at = max(at, s.To)
	}
	if gap := (Span{at, within.To}); !gap.IsEmpty() {
		gaps = append(gaps, gap)
	}
	return gaps
}

// Common returns the time that is both in the one spans and in the others, as Union does.
func Common(spans, others []Span) []Span {
	if len(spans) == 0 || len(others) == 0 {
		return nil
	}
	return Overlaps(append(Union(spans), Union(others)...))
}

// A merger merges spans that are added in the order in which they begin. It needs no more
// memory than what it makes of them.
type merger struct {
	union []Span
	doubles
}

func (m *merger) addAll(spans []Span) {
	byFrom := func(a, b Span) int { return cmp.Compare(a.From, b.From) }
	if !slices.IsSortedFunc(spans, byFrom) {
		spans = slices.SortedFunc(slices.Values(spans), byFrom)
	}
	for _, s := range spans {
		m.add(s)
	}
}

// add adds a span that begins no earlier than those before it.
func (m *merger) add(s Span) {
	m.doubles.add(s)
	m.union = extend(m.union, s)
}

// doubles are what is in two spans or more, of those that are added in the order in which they
// begin.
type doubles struct {
	twice []Span
	last  Span // of the union
}

func (d *doubles) add(s Span) {
	if s.IsEmpty() {
		return
	}
	d.twice = extend(d.twice, s.Clip(d.last))
	if s.From > d.last.To || d.last.IsEmpty() {
		d.last = s
	}
	d.last.To = max(d.last.To, s.To)
}

// extend adds a span that begins no earlier than the last of spans.
func extend(spans []Span, s Span) []Span {
	if s.IsEmpty() {
		return spans
	}
	if n := len(spans); n > 0 && s.From <= spans[n-1].To {
		spans[n-1].To = max(spans[n-1].To, s.To)
		return spans
	}
	return append(spans, s)
}
