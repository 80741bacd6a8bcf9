package archive

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
)

// A mapEntry is a line of the map of a partial: bytes that are here, or, the
// first of all, what the store and the job said of the object.
type mapEntry struct {
	Store *Promise `json:"store,omitempty"`
	Job   Promise  `json:"job,omitzero"`
	Off   int64    `json:"off"`
	Len   int64    `json:"len"`
	CRC64 string   `json:"crc64,omitempty"`
}

// readMap yields the lines of a map that can be read. A map begins with what
// the store said; what comes before that means nothing. An error ends it.
func readMap(r io.Reader) iter.Seq2[mapEntry, error] {
	return func(yield func(mapEntry, error) bool) {
		begun := false
		for line, err := range lines(r) {
			var e mapEntry
			if err == nil && json.Unmarshal(line, &e) != nil {
				continue
			}
			begun = begun || e.Store != nil
			if (begun || err != nil) && !yield(e, err) {
				return
			}
		}
	}
}

// lines yields each line that is not blank, the last even if it is cut short.
// An error ends it.
func lines(r io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for in := bufio.NewReader(r); ; {
			line, err := in.ReadBytes('\n')
			ended := errors.Is(err, io.EOF)
			if ended {
				err = nil
			}
			if (len(line) > 1 || err != nil) && !yield(line, err) || ended || err != nil {
				return
			}
		}
	}
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
