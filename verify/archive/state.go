package archive

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	stateFile   = "state.json"
	countsFile  = "counts.json"
	stateSchema = "tallyman.state/v1"
)

// A Phase is where an export stands that has not landed. One that nobody has
// tried yet has none.
type Phase string

// The phases.
const (
	Waiting   Phase = "waiting" // to land
	Failed    Phase = "failed"
	Cancelled Phase = "cancelled"
)

// State is what state.json says of an export that has not landed.
type State struct {
	Schema    string          `json:"schema"`
	Reference string          `json:"reference"`
	Key       string          `json:"key"`
	FirstSeen time.Time       `json:"first_seen"`
	Phase     Phase           `json:"phase,omitempty"`
	Asked     time.Time       `json:"asked,omitzero"`     // when a person last asked for it: budgets and deadlines count from then
	Options   json.RawMessage `json:"options,omitempty"`  // of the task, the caller's own
	Attempts  int             `json:"attempts,omitempty"` // that failed, since Asked
	Failures  map[string]int  `json:"failures,omitempty"` // of them, by cause
	Cause     string          `json:"cause,omitempty"`    // of the last
	Message   string          `json:"message,omitempty"`
	Hint      string          `json:"hint,omitempty"`
	Changed   time.Time       `json:"changed,omitzero"`
	Next      time.Time       `json:"next,omitzero"` // when it is tried again
}

// A Counters is what counts.json says: what changes too often to be made durable.
// After a power cut it may be zero; a process that dies loses nothing of it.
type Counters struct {
	Polls    int   `json:"polls,omitempty"`
	Unknown  int   `json:"unknown,omitempty"` // status words that are not known, in a row
	Starts   int   `json:"starts,omitempty"`  // attempts that began and did not end, in a row, without a gain
	Progress int64 `json:"gain,omitempty"`    // see Docket.Gain

	Ready  bool   `json:"ready,omitempty"` // the job was, when it was last asked
	Status string `json:"said,omitempty"`  // what it said if not
}

// State reads what is known of an export that has not landed, whoever holds it.
// It fails with fs.ErrNotExist if nothing is.
func (a *Archive) State(key string) (State, Counters, error) {
	dir := filepath.Join(a.dir, ingestDir, hashName(key))
	state, err := readState(dir)
	if err != nil {
		return State{}, Counters{}, err
	}
	return state, readTally(dir), nil
}

// readState fails with fs.ErrNotExist if no state can be made out.
func readState(dir string) (s State, err error) {
	path := filepath.Join(dir, stateFile)
	b, err := readSmall(path)
	if err != nil && !errors.Is(err, syscall.ENOTDIR) {
		return s, err
	}
	if json.Unmarshal(b, &s) != nil || s.Key == "" {
		return State{}, fmt.Errorf("read %s: %w: no state in it", path, fs.ErrNotExist)
	}
	s.Options = compact(s.Options)
	return s, nil
}

// mostState is more than a state or a tally of ours is long. What is longer is
// read no further, and is none.
const mostState = 1 << 20

func readSmall(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, mostState+1))
}

// compact undoes what indenting the file did to a value in it.
func compact(value json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	_ = json.Compact(&b, value) // it was read as JSON
	return b.Bytes()
}

func readTally(dir string) (t Counters) {
	b, err := readSmall(filepath.Join(dir, countsFile))
	if err != nil || json.Unmarshal(b, &t) != nil {
		return Counters{}
	}
	return t
}

// States yields what is known of each export that has not landed, in no order,
// whoever holds it. Among them may be one that landed and whose commit was cut
// short: who takes it up clears it up. After an error of one export the others
// follow.
func (a *Archive) States() iter.Seq2[State, error] {
	return func(yield func(State, error) bool) {
		for name, err := range a.ingests() {
			var s State
			if err == nil {
				s, err = readState(filepath.Join(a.dir, ingestDir, name))
			}
			if errors.Is(err, fs.ErrNotExist) {
				continue // half made, or gone meanwhile
			}
			if err != nil {
				err = fmt.Errorf("list exports that have not landed: %w", err)
			}
			if !yield(s, err) {
				return
			}
		}
	}
}

const eachBatch = 512

// ingests yields the names in the ingest area, a few read at a time. An error
// ends it.
func (a *Archive) ingests() iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		dir, err := os.Open(filepath.Join(a.dir, ingestDir))
		if err != nil {
			yield("", err)
			return
		}
		defer dir.Close()
		for {
			names, err := dir.Readdirnames(eachBatch)
			for _, name := range names {
				if !yield(name, nil) {
					return
				}
			}
			if err != nil {
				if !errors.Is(err, io.EOF) {
					yield("", err)
				}
				return
			}
		}
	}
}
