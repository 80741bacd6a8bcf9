package catalog

import (
	"encoding/json"
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
	Listed  time.Time // when it was last listed
	Found   int64     // how many exports were listed then
	New     int64     // of them, those that the archive did not know
	Missing int64     // of those, the ones that nobody was asked to fetch

	FailedSince               time.Time // since when it can't be listed, by this cause
	Cause, Message, RequestID string    // why it can't be; "" if it was listed when that was last tried
	Accepted                  *Acceptance

	Rechecked []Recheck // the last run of each part of it, the last of all at the end

	Phases     map[Phase]Sum `json:"-"`
	Doubts     Sum           `json:"-"` // of those that landed, the ones with open doubts
	Settled    map[Phase]Sum `json:"-"` // of each phase, those that are accepted
	LastLanded time.Time     `json:"-"`
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
