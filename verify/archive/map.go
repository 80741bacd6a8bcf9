package archive

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
)

// A mapEntry is a line of the map of a partial: a part that is whole, or, the
// first of all, what the store and the job said of the object.
type mapEntry struct {
	Store *Promise `json:"store,omitempty"`
	Job   Promise  `json:"job,omitzero"`
	Off   int64    `json:"off"`
	Len   int64    `json:"len"`
	CRC64 string   `json:"crc64,omitempty"`
}

// readMap reads the lines of a map that can be read: the first, and those of
// parts. A map that does not begin with what the store said is empty, and one
// that begins again is what follows.
func readMap(r io.Reader) (first *mapEntry, parts []mapEntry, err error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, nil, err
	}
	for line := range bytes.Lines(b) {
		var e mapEntry
		switch {
		case json.Unmarshal(line, &e) != nil:
		case e.Store != nil:
			first, parts = &e, nil
		case first != nil:
			parts = append(parts, e)
		}
	}
	return first, parts, nil
}

// mark adds a line to the map.
func (p *Partial) mark(e mapEntry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if err := p.in.archive.disk.begin("write", p.chart.Name()); err != nil {
		return err
	}
	if _, err := p.chart.Write(slices.Concat([]byte("\n"), line, []byte("\n"))); err != nil {
		return fmt.Errorf("map %s: %w", p.name, err)
	}
	return nil
}
