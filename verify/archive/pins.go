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
	Name    string  `json:"name,omitempty"`
	Content string  `json:"content,omitempty"`
	Want    Promise `json:"want,omitzero"`
	Total   *int    `json:"total,omitempty"`
}

// A Pinned is one object of an export as it was listed.
type Pinned struct {
	Name    string
	Content string // as declared
	Want    verify.Want
}

// Pin writes down which objects the export has, and what was promised of each,
// so that later attempts fetch those and no others. An error among the objects
// ends it, and pins nothing.
func (in *Ingest) Pin(objects iter.Seq2[Pinned, error]) error {
	draft := in.path(pinsFile + ".new")
	if err := in.writePins(draft, objects); err != nil {
		return fmt.Errorf("pin: %w", err)
	}
	return in.archive.disk.rename(draft, in.path(pinsFile))
}

func (in *Ingest) writePins(path string, objects iter.Seq2[Pinned, error]) error {
	if err := in.archive.disk.begin("write", path); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	lines, total := json.NewEncoder(w), 0
	for object, err := range objects {
		if err != nil {
			return err
		}
		if err := lines.Encode(pin{Name: object.Name, Content: object.Content, Want: promised(object.Want)}); err != nil {
			return err
		}
		total++
	}
	return errors.Join(lines.Encode(pin{Total: &total}), w.Flush(), in.archive.disk.sync(f))
}

// Unpin forgets what was pinned: the source has changed since.
func (in *Ingest) Unpin() error { return in.archive.disk.removeAll(in.path(pinsFile)) }

// Pins reads what Pin wrote, by name, or fails with fs.ErrNotExist if no
// attempt came so far.
func (in *Ingest) Pins() (map[string]Pinned, error) {
	f, err := os.Open(in.path(pinsFile))
	if err != nil {
		return nil, fmt.Errorf("read pins: %w", err)
	}
	defer f.Close()
	pins := map[string]Pinned{}
	lines := json.NewDecoder(bufio.NewReader(f))
	for n := 0; ; n++ {
		var p pin
		err := lines.Decode(&p)
		switch {
		case err != nil || p.Total != nil && *p.Total != n:
			return nil, fmt.Errorf("read pins: %w: they are cut short", fs.ErrNotExist)
		case p.Total != nil:
			return pins, nil
		}
		pins[p.Name] = Pinned{p.Name, p.Content, p.Want.want()}
	}
}
