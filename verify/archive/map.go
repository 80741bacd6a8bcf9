package archive

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"tallyman/verify"
)

// A mapEntry is a line of the map of a partial: a part that is whole, or, the
// first of all, what the store said of the object.
type mapEntry struct {
	Store *Promise `json:"store,omitempty"`
	Off   int64    `json:"off"`
	Len   int64    `json:"len"`
	CRC64 string   `json:"crc64,omitempty"`
}

// readMap reads the lines of a map that can be read. A map that does not begin
// with what the store said is empty.
func readMap(r io.Reader) (*verify.Want, []mapEntry, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, nil, err
	}
	var store *verify.Want
	var entries []mapEntry
	for line := range bytes.Lines(b) {
		var e mapEntry
		if json.Unmarshal(line, &e) != nil || (e.Store == nil && store == nil) {
			continue
		}
		if e.Store != nil {
			want := e.Store.want()
			store = &want
			continue
		}
		entries = append(entries, e)
	}
	return store, entries, nil
}

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

func (p *Partial) markStore(said verify.Want) error {
	store := promised(said)
	return p.mark(mapEntry{Store: &store})
}
