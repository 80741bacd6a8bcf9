package archive

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"

	"tallyman/verify"
)

const pinsFile = "pins.jsonl"

// pin is a line of the pins: an object, or, the last, how many there are.
type pin struct {
	Name  string  `json:"name,omitempty"`
	Want  Promise `json:"want"`
	Total *int    `json:"total,omitempty"`
}

// Pin writes down which objects the export has, and what was promised of each,
// so that later attempts fetch those and no others.
func (in *Ingest) Pin(objects iter.Seq2[string, verify.Want]) (err error) {
	draft := in.path(pinsFile + ".new")
	if err := in.archive.disk.begin("write", draft); err != nil {
		return err
	}
	f, err := os.Create(draft)
	if err != nil {
		return fmt.Errorf("pin: %w", err)
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	lines := json.NewEncoder(w)
	total := 0
	for name, want := range objects {
		if err := lines.Encode(pin{Name: name, Want: promised(want)}); err != nil {
			return fmt.Errorf("pin %s: %w", name, err)
		}
		total++
	}
	if err := errors.Join(lines.Encode(pin{Total: &total}), w.Flush(), in.archive.disk.sync(f)); err != nil {
		return fmt.Errorf("pin: %w", err)
	}
	return in.archive.disk.rename(draft, in.path(pinsFile))
}

// Pinned reads what Pin wrote, or fails with fs.ErrNotExist if no attempt came
// so far.
func (in *Ingest) Pinned() (map[string]verify.Want, error) {
	f, err := os.Open(in.path(pinsFile))
	if err != nil {
		return nil, fmt.Errorf("read pins: %w", err)
	}
	defer f.Close()
	pins := map[string]verify.Want{}
	for lines := json.NewDecoder(bufio.NewReader(f)); ; {
		var p pin
		if err := lines.Decode(&p); err != nil {
			return nil, fmt.Errorf("read pins: %w: they are cut short", fs.ErrNotExist)
		}
		if p.Total != nil {
			return pins, nil
		}
		pins[p.Name] = p.Want.want()
	}
}
