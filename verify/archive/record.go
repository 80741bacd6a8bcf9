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

// A Phase says where an export stands that has not landed. It is "" before the
// first attempt.
type Phase string

// The phases.
const (
	Waiting   Phase = "waiting" // to land
	Failed    Phase = "failed"
	Cancelled Phase = "cancelled"
)

// A State is what state.json says of an export that has not landed.
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
	Cause     string          `json:"cause,omitempty"`    // of the last failure
	Message   string          `json:"message,omitempty"`
	Changed   time.Time       `json:"changed,omitzero"`
	Next      time.Time       `json:"next,omitzero"` // when it is tried again
}

func newState(reference, key string) State {
	return State{Schema: stateSchema, Reference: reference, Key: key, FirstSeen: time.Now().UTC().Truncate(time.Second)}
}

// Counters is what counts.json says: what changes too often to be made durable.
// A process that dies loses nothing of it; after a power cut it may be zero.
type Counters struct {
	Polls    int   `json:"polls,omitempty"`
	Unknown  int   `json:"unknown,omitempty"` // answers in a row with a status word that is not known
	Starts   int   `json:"starts,omitempty"`  // attempts in a row that began, did not end, and made no progress
	Progress int64 `json:"gain,omitempty"`    // bytes that were here and objects that were done, at the last attempt

	Ready  bool   `json:"ready,omitempty"` // whether the job was ready when it was last asked
	Status string `json:"said,omitempty"`  // what the job said if it was not
}

// A Record is what is known of an export that has not landed. Whoever has it
// open holds the export's lock, so that nobody receives the export meanwhile. It
// is for one goroutine.
type Record struct {
	State    State
	Counters Counters
	lock     exportLock
}

// Record opens the record of an export and locks the export. Reference is the
// text that may be shown. If nothing is known of the export, Record writes down
// that it is wanted, which is durable when Record returns. It fails with ErrBusy
// while an attempt or another Record has the lock, and with ErrLanded if the
// export has landed. The caller closes the Record.
func (a *Archive) Record(reference, key string) (*Record, error) {
	lock, state, err := a.lockExport(reference, key)
	if err != nil {
		return nil, fmt.Errorf("open the record of %s: %w", reference, err)
	}
	counters, _ := readSmall[Counters](lock.path(countsFile)) // zero if they can't be read
	return &Record{State: state, Counters: counters, lock: lock}, nil
}

// Save writes the State and the Counters. The State is durable when Save
// returns. If Save fails, the State on disk is the old or the new one.
func (r *Record) Save() error {
	disk, path := r.lock.archive.disk, r.lock.path(stateFile)
	err := disk.writeJSON(path+".new", r.State)
	if err == nil {
		err = disk.rename(path+".new", path)
	}
	if err == nil {
		err = disk.syncDir(r.lock.dir)
	}
	if err != nil {
		return fmt.Errorf("save the state of %s: %w", r.State.Reference, err)
	}
	return r.SaveCounters()
}

// SaveCounters writes the Counters alone, and does not wait for the disk. After a
// crash of the process the file has the old or the new ones; a power cut may lose
// both.
func (r *Record) SaveCounters() error {
	disk, path := r.lock.archive.disk, r.lock.path(countsFile)
	b, err := json.Marshal(r.Counters)
	if err == nil {
		err = disk.step("write", path+".new")
	}
	if err == nil {
		err = os.WriteFile(path+".new", append(b, '\n'), 0o644)
	}
	if err == nil {
		err = disk.rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("save the counters of %s: %w", r.State.Reference, err)
	}
	return nil
}

// Discard drops all that was received, to free its space, and the Counters. The
// State stays.
func (r *Record) Discard() error {
	r.Counters = Counters{}
	err := r.lock.removeExcept(lockFile, stateFile)
	if err == nil {
		err = r.lock.archive.disk.syncDir(r.lock.dir)
	}
	if err != nil {
		return fmt.Errorf("discard what was received of %s: %w", r.State.Reference, err)
	}
	return nil
}

// Close unlocks the export. Changes that were not saved are lost.
func (r *Record) Close() error { return r.lock.close() }

// State reads what is known of an export that has not landed, without its lock.
// It fails with fs.ErrNotExist if nothing is known.
func (a *Archive) State(key string) (State, Counters, error) {
	dir := a.ingestPath(key)
	state, err := readState(dir)
	if err != nil {
		return State{}, Counters{}, err
	}
	counters, _ := readSmall[Counters](filepath.Join(dir, countsFile)) // zero if they can't be read
	return state, counters, nil
}

// readState fails with fs.ErrNotExist if there is no file, or no state in it.
func readState(dir string) (State, error) {
	path := filepath.Join(dir, stateFile)
	s, err := readSmall[State](path)
	if err != nil && !errors.Is(err, syscall.ENOTDIR) {
		return State{}, err
	}
	if s.Key == "" {
		return State{}, fmt.Errorf("read %s: %w: no state in it", path, fs.ErrNotExist)
	}
	var options bytes.Buffer
	_ = json.Compact(&options, s.Options) // undoes the indentation of the file; it was read as JSON
	s.Options = options.Bytes()
	return s, nil
}

// maxSmallFile is more bytes than a state or counters have. readSmall reads no
// further, and what it then has is not valid JSON.
const maxSmallFile = 1 << 20

// readSmall reads a small file of JSON. What is not valid is the zero value.
func readSmall[T any](path string) (v T, err error) {
	f, err := os.Open(path)
	if err != nil {
		return v, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSmallFile+1))
	if err != nil || json.Unmarshal(b, &v) != nil {
		return *new(T), err
	}
	return v, nil
}

// namesPerRead is how many names of the ingest area States reads at a time.
const namesPerRead = 512

// States yields what is known of each export that has not landed, in no order
// and without their locks. An export that landed may be among them if its commit
// was cut short: the next attempt at it clears that up. After an error that
// concerns one export the others follow.
func (a *Archive) States() iter.Seq2[State, error] {
	return func(yield func(State, error) bool) {
		dir, err := os.Open(filepath.Join(a.dir, ingestDir))
		if err == nil {
			defer dir.Close()
		}
		for err == nil {
			var names []string
			names, err = dir.Readdirnames(namesPerRead)
			for _, name := range names {
				if name == runsDir {
					continue
				}
				s, err := readState(filepath.Join(a.dir, ingestDir, name))
				if errors.Is(err, fs.ErrNotExist) {
					_ = os.Remove(filepath.Join(a.dir, ingestDir, name)) // if it is empty, it was left behind, or its lock is yet to be made, which is tried again
					continue
				}
				if err != nil {
					err = fmt.Errorf("list exports that have not landed: %w", err)
				}
				if !yield(s, err) {
					return
				}
			}
		}
		if !errors.Is(err, io.EOF) && !errors.Is(err, fs.ErrNotExist) {
			yield(State{}, fmt.Errorf("list exports that have not landed: %w", err))
		}
	}
}
