package sandbox

import (
	"iter"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Logstore is a log store of SLS. Its rows follow from Seed, so that each job and
// each histogram of one window sees the same rows.
type Logstore struct {
	Name string
	Seed uint64

	RowsPerMinute int       // on average. Each minute has a number of rows of its own
	From, To      time.Time // there are rows between them. The zero To is the cloud's time
	Late          []LateRows

	TTL int // how many days rows are kept. 0 = 3650, which is for ever
	// IndexedSince is when the index was made: earlier rows are exported, and not
	// counted by a histogram. Zero = all are counted.
	IndexedSince time.Time
	// Incomplete is how many histograms of one window and query are Incomplete, with
	// a part of the count, before the first that is Complete.
	Incomplete int

	// What the CSV files of created jobs look like. The vendor tells nowhere whether they have a
	// header; by default they do, with all fields.
	NoHeader bool
	Fields   []string // the columns, of __time__, __source__, level, trace_id and message. nil = all
	Message  string   // of each row. "" = each has its own

	// JobFaults are by the beginning of the window that a job is created for, in
	// seconds since 1970.
	JobFaults map[int64]JobFaults
}

// LateRows are rows that arrive after the time that they have.
type LateRows struct {
	Time, Arrival time.Time
	Rows          int
}

const (
	defaultTTL = 3650 // days
	day        = 24 * time.Hour
)

func (l *Logstore) ttl() int {
	if l.TTL == 0 {
		return defaultTTL
	}
	return l.TTL
}

// rows yields the rows of [from, to) that have arrived by now and are kept: minute by
// minute, and then those that were late.
func (l *Logstore) rows(from, to, now time.Time) iter.Seq[row] {
	from, to = laterOf(from, now.Add(-time.Duration(l.ttl())*day)), earlierOf(to, now)
	begin, end := laterOf(from, l.From).Unix(), to.Unix()
	if !l.To.IsZero() {
		end = min(end, l.To.Unix())
	}
	return func(yield func(row) bool) {
		for minute := begin / 60; minute*60 < end; minute++ {
			for second, r := range l.minute(minute) {
				if second >= begin && second < end && !yield(r) {
					return
				}
			}
		}
		for n, late := range l.Late {
			if late.Time.Before(from) || !late.Time.Before(to) || late.Arrival.After(now) {
				continue
			}
			random := rand.New(rand.NewPCG(l.Seed, uint64(n)))
			for i := range late.Rows {
				if !yield(newRowAt(late.Time.Unix(), i, random)) {
					return
				}
			}
		}
	}
}

// minute yields the rows of a minute, in order, each with its second.
func (l *Logstore) minute(minute int64) iter.Seq2[int64, row] {
	return func(yield func(int64, row) bool) {
		random := rand.New(rand.NewPCG(l.Seed, uint64(minute)))
		seconds := make([]int64, random.IntN(2*l.RowsPerMinute+1))
		for i := range seconds {
			seconds[i] = minute*60 + random.Int64N(60)
		}
		slices.Sort(seconds)
		for i, second := range seconds {
			if !yield(second, newRowAt(second, i, random)) {
				return
			}
		}
	}
}

func newRowAt(second int64, i int, random *rand.Rand) row {
	r := newRow(i, random)
	r.Time = strconv.FormatInt(second, 10)
	return r
}

func laterOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlierOf(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// A logQuery is a search and, behind a |, a statement of SQL.
type logQuery struct {
	terms []logTerm
	sql   string // "" = none
}

// A logTerm selects the rows that have a value in a field, or in any where that is "".
type logTerm struct {
	field, value string
	not          bool
}

// parseQuery reads a search of terms joined by "and": *, WORD, FIELD: VALUE, each
// perhaps with "not" before it. There is no "or", and there are no parentheses.
func parseQuery(text string) (q logQuery, ok bool) {
	search, sql, _ := strings.Cut(text, "|")
	q.sql = strings.Join(strings.Fields(sql), " ")
	for term := range strings.SplitSeq(strings.ReplaceAll(strings.TrimSpace(search), " AND ", " and "), " and ") {
		var t logTerm
		term, t.not = strings.CutPrefix(strings.TrimSpace(term), "not ")
		field, value, hasField := strings.Cut(term, ":")
		if t.value = strings.Trim(strings.TrimSpace(field), `"`); hasField {
			t.field, t.value = strings.TrimSpace(field), strings.Trim(strings.TrimSpace(value), `"`)
		}
		if t.value == "" || strings.ContainsAny(t.value, `()"`) || strings.Contains(t.value, " or ") {
			return q, false
		}
		if t.value != "*" || t.field != "" || t.not {
			q.terms = append(q.terms, t)
		}
	}
	return q, true
}

// selects reports whether the search finds a row.
func (q logQuery) selects(r row) bool {
	if len(q.terms) == 0 {
		return true
	}
	for _, t := range q.terms {
		value := r.field(t.field)
		found := value == t.value || t.field != "" && t.value == "*" && value != ""
		if t.field == "" {
			found = t.value == "*" || strings.Contains(r.Message, t.value) || r.Level == t.value
		}
		if found == t.not {
			return false
		}
	}
	return true
}
