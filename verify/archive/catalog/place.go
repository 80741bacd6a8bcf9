package catalog

import (
	"encoding/json"
	"iter"
	"maps"
	"slices"
	"time"
)

// A Sum counts exports, and adds up their bytes and records as far as they are known.
type Sum struct{ Exports, Bytes, Records int64 }

func (s *Sum) add(other Sum, times int64) {
	s.Exports += times * other.Exports
	s.Bytes += times * other.Bytes
	s.Records += times * other.Records
}

// A sumKey says which exports are counted in one sum of the file.
type sumKey struct {
	place    int64
	phase    Phase
	cause    string
	open     bool // with open doubts
	accepted bool
}

// A Place is a place, how it was listed, and the sums of its exports.
type Place struct {
	Name string `json:"-"`

	Profile string    // whose credentials listed it
	Tried   time.Time // when it was last listed, or could not be; zero: never
	Listed  time.Time // when it was last listed, or a part of it
	Whole   Count     // of the last listing of all of it
	Part    Count     // of the last one since then that left some exports out, whatever they are

	FailedSince               time.Time // since when it can't be listed, by this cause
	Cause, Message, RequestID string    // why it can't be; "" if it was listed when that was last tried
	Accepted                  *Acceptance

	AcceptedWindows []AcceptedWindow // that it lacks, as they were accepted

	Rechecked []Recheck // the last run of each part of it, the last of all at the end

	Phases     map[Phase]Sum `json:"-"`
	Doubts     Sum           `json:"-"` // of those that landed, the ones with open doubts
	Settled    map[Phase]Sum `json:"-"` // of each phase, those that are accepted
	LastLanded time.Time     `json:"-"`
}

// A Count is what a listing of a place has shown. It is the zero Count if there was none.
type Count struct {
	At      time.Time
	Found   int64 // exports
	New     int64 // of them, those that the archive did not know
	Missing int64 // of those, the ones that nobody was asked to fetch
}

// A Recheck is a run of rechecks that has ended.
type Recheck struct {
	At      time.Time
	Part    string // as "1/7", or "" for all
	Checked int64
	Worst   string // whole, newer, absent or damaged
}

// A placeRow is a place as the catalog keeps it.
type placeRow struct {
	id   int64
	kept bool // it is in the file, or in the overlay
	Place
}

// places are all places of a catalog.
type places struct {
	rows  map[string]*placeRow // by name
	names map[int64]string
}

// add returns the row of a place, which is made if there is none.
func (p *places) add(name string) *placeRow {
	row := p.rows[name]
	if row == nil {
		row = &placeRow{id: int64(len(p.rows)) + 1, Place: Place{Name: name}}
		p.rows[name], p.names[row.id] = row, name
	}
	return row
}

// readPlaces reads the places that the file has.
func (c *Catalog) readPlaces() error {
	c.places = places{map[string]*placeRow{}, map[int64]string{}}
	for row, err := range c.query("SELECT id, name, listing FROM places") {
		if err != nil {
			return err
		}
		p := &placeRow{id: row.ColumnInt64(0), Place: Place{Name: row.ColumnText(1)}}
		if err := json.Unmarshal([]byte(row.ColumnText(2)), &p.Place); err != nil {
			return err
		}
		p.kept = true
		c.places.rows[p.Name], c.places.names[p.id] = p, p.Name
	}
	return nil
}

// Places yields each place that has exports or was listed, by name. Exports of no place,
// and rechecks of the whole archive, are of the place "".
func (c *Catalog) Places() iter.Seq2[Place, error] {
	return func(yield func(Place, error) bool) {
		all := map[int64]*Place{}
		for _, row := range c.places.rows {
			p := row.Place
			p.Phases, p.Settled = map[Phase]Sum{}, map[Phase]Sum{}
			all[row.id] = &p
		}
		for row, err := range c.query("SELECT place, phase, open, accepted, sum(n), sum(bytes), sum(records) FROM sums GROUP BY 1, 2, 3, 4 HAVING sum(n) > 0") {
			if err != nil {
				yield(Place{}, err)
				return
			}
			p, phase := all[row.ColumnInt64(0)], Phase(row.ColumnText(1))
			sum := Sum{row.ColumnInt64(4), row.ColumnInt64(5), row.ColumnInt64(6)}
			of := p.Phases[phase]
			of.add(sum, 1)
			p.Phases[phase] = of
			if row.ColumnBool(2) {
				p.Doubts.add(sum, 1)
			}
			if row.ColumnBool(3) {
				settled := p.Settled[phase]
				settled.add(sum, 1)
				p.Settled[phase] = settled
			}
		}
		for row, err := range c.query("SELECT id, (SELECT max(at) FROM exports WHERE place = places.id AND phase = 'landed') FROM places") {
			if err != nil {
				yield(Place{}, err)
				return
			}
			all[row.ColumnInt64(0)].LastLanded = timeOf(row.ColumnInt64(1))
		}
		for _, name := range slices.Sorted(maps.Keys(c.places.rows)) {
			p := all[c.places.rows[name].id]
			if !yield(*p, nil) {
				return
			}
		}
	}
}

// A Cause is what exports of one phase have in common that failed, or are damaged, absent
// or cancelled.
type Cause struct {
	Phase    Phase
	Cause    string
	Exports  int64
	Accepted int64     // of these
	First    time.Time // when the first of them changed
	Last     time.Time // when the last did
	Sample   Export    // the last
}

// Causes yields what is wrong with the exports that a filter lets pass, those with the
// most exports first. Its order and its limits count for nothing.
func (c *Catalog) Causes(f Filter) iter.Seq2[Cause, error] {
	return func(yield func(Cause, error) bool) {
		if len(f.Phases) == 0 {
			f.Phases = []Phase{Failed, Damaged, Absent, Cancelled}
		}
		where, args := f.where()
		var causes []Cause
		for row, err := range c.query("SELECT phase, cause, count(*), sum(accepted), min(at), max(at) FROM exports WHERE "+where+" GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2", args...) {
			if err != nil {
				yield(Cause{}, err)
				return
			}
			causes = append(causes, Cause{
				Phase: Phase(row.ColumnText(0)), Cause: row.ColumnText(1), Exports: row.ColumnInt64(2), Accepted: row.ColumnInt64(3),
				First: timeOf(row.ColumnInt64(4)), Last: timeOf(row.ColumnInt64(5)),
			})
		}
		for _, cause := range causes {
			sample := f
			sample.Phases, sample.Causes, sample.Order, sample.Desc, sample.Limit, sample.Skip = []Phase{cause.Phase}, []string{cause.Cause}, ByWhen, true, 1, 0
			for e, err := range c.Exports(sample) {
				if err != nil {
					yield(Cause{}, err)
					return
				}
				cause.Sample = e
			}
			if !yield(cause, nil) {
				return
			}
		}
	}
}
