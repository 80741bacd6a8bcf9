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
	"strings"
	"syscall"
	"time"

	"tallyman/verify/archive/internal/durable"
	"tallyman/verify/archive/internal/rangelock"
	"tallyman/verify/archive/ledger"
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
	Removed   Phase = "removed" // a person took it out of the lists
)

// phases are the phases of exports that have not landed, by their lines in the ledger.
var phases = map[ledger.Kind]Phase{ledger.Asked: Waiting, ledger.Failed: Failed, ledger.Cancelled: Cancelled, ledger.Removed: Removed}

// A State is what the ledger, and state.json where something is kept, say of an export
// that has not landed.
type State struct {
	Schema    string          `json:"schema"`
	Ledger    string          `json:"ledger,omitempty"` // whose lines tell the Phase; "": an earlier version wrote this last, and it counts
	Reference string          `json:"reference"`
	Key       string          `json:"key"`
	FirstSeen time.Time       `json:"first_seen"`
	Phase     Phase           `json:"phase,omitempty"`
	Asked     time.Time       `json:"asked,omitzero"`     // when a person last asked for it: budgets and deadlines count from then
	Options   json.RawMessage `json:"options,omitempty"`  // of the task, the caller's own
	Profile   string          `json:"profile,omitempty"`  // the name of the account that it is fetched with
	Wait      string          `json:"wait,omitempty"`     // for its job, as "24h0m0s"; "": as long as whoever fetches it waits
	Attempts  int             `json:"attempts,omitempty"` // that failed, since Asked
	Failures  map[string]int  `json:"failures,omitempty"` // of them, by cause
	Cause     string          `json:"cause,omitempty"`    // of the last failure
	Message   string          `json:"message,omitempty"`
	RequestID string          `json:"request_id,omitempty"` // of the answer behind that
	By        string          `json:"by,omitempty"`         // who asked for it or cancelled it, if that is known
	Ends      time.Time       `json:"ends,omitzero"`        // until when what is to be fetched is there at least, if its reference tells
	Changed   time.Time       `json:"changed,omitzero"`
	Next      time.Time       `json:"next,omitzero"` // when it is tried again

	Kept bool `json:"-"` // in the ingest area; of others the ledger alone tells
}

func newState(reference, key string) State {
	return State{Schema: stateSchema, Ledger: ledger.Schema, Reference: reference, Key: key, FirstSeen: time.Now().UTC().Truncate(time.Second)}
}

// line is the line of the ledger that says how far the export is.
func (s *State) line() ledger.Line {
	line := ledger.Line{Ref: s.Reference, Key: s.Key, Options: s.Options}
	switch s.Phase {
	case Failed:
		line.Kind, line.Cause, line.Message, line.RequestID = ledger.Failed, s.Cause, s.Message, s.RequestID
	case Cancelled:
		line.Kind, line.By = ledger.Cancelled, s.By
	default:
		line.Kind, line.At, line.Profile, line.Wait, line.By, line.Ends = ledger.Asked, s.Asked, s.Profile, s.Wait, s.By, s.Ends
	}
	return line
}

// follow has the State say how far the export is by its last line, or nil. A State that
// says the same knows more.
func (s *State) follow(line *ledger.Line) {
	if line == nil || phases[line.Kind] == "" {
		return
	}
	told := State{
		Schema: stateSchema, Ledger: ledger.Schema, Reference: line.Ref, Key: line.Key, FirstSeen: line.At, Asked: line.At, Changed: line.At,
		Phase: phases[line.Kind], Cause: line.Cause, Message: line.Message, RequestID: line.RequestID, Options: line.Options, By: line.By,
	}
	switch told.Phase {
	case Waiting:
		told.Profile, told.Wait, told.Ends = line.Profile, line.Wait, line.Ends
	case Cancelled:
		told.Cause = string(line.Kind)
	}
	s.followState(&told)
}

// followState is follow of what the last line makes of a State that knows nothing.
func (s *State) followState(told *State) {
	switch {
	case told.Phase == "" || told.Phase == s.Phase || s.Key != "" && s.Ledger == "":
	case s.Key == "":
		*s = *told
	default:
		s.Phase, s.Cause, s.Message, s.RequestID = told.Phase, told.Cause, told.Message, told.RequestID
		s.Options, s.By, s.Changed, s.Next = told.Options, told.By, told.Changed, time.Time{}
		if s.Asked.IsZero() { // who gave it up was killed before it had written more than the line
			s.Asked = told.Asked
		}
		if s.Phase == Waiting {
			s.Asked, s.Profile, s.Wait, s.Ends, s.Attempts, s.Failures = told.Asked, told.Profile, told.Wait, told.Ends, 0, nil
		}
	}
}

// RecordReady writes down until when what the job of an export yielded is there at least. The
// export need not be locked.
func (a *Archive) RecordReady(reference, key string, ends time.Time) error {
	err := a.ledger.Append(ledger.Line{Kind: ledger.Ready, Ref: reference, Key: key, Ends: ends.UTC().Truncate(time.Second)})
	if err != nil {
		return fmt.Errorf("record until when %s is there: %w", reference, err)
	}
	return nil
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
	told     State // the last that the ledger and state.json both know
}

// Record opens the record of an export and locks the export. Reference is the
// text that may be shown. If nothing is kept of the export, Record makes its ingest
// directory, which is durable when Record returns. It fails with ErrBusy
// while an attempt or another Record has the lock, and with ErrLanded if the
// export has landed. The caller closes the Record.
func (a *Archive) Record(reference, key string) (*Record, error) {
	lock, state, err := a.lockExport(reference, key)
	if err != nil {
		return nil, fmt.Errorf("open the record of %s: %w", reference, err)
	}
	latest, err := a.ledger.Latest(key)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the record of %s: %w", reference, unknownLatest(err)), lock.close())
	}
	state.follow(latest.Phase)
	counters, _ := durable.ReadJSON[Counters](lock.path(countsFile)) // zero if they can't be read
	return &Record{State: state, Counters: counters, lock: lock, told: state}, nil
}

// Ask writes down that an export is wanted, by a State that has its Reference, Key,
// Asked, Options, Profile and Wait. The export is Waiting and has a new budget then,
// which is durable when Ask returns. It fails as Record does.
func (a *Archive) Ask(s State) error { return a.AskUnless(s, nil) }

// AskUnless is Ask, unless refuse returns an error of what is known of the export, which
// AskUnless then returns. The export is locked meanwhile, so that nobody gives it up between
// the two. refuse may be nil.
func (a *Archive) AskUnless(s State, refuse func(known State) error) error {
	s.Phase = Waiting
	landed, err := a.landed(s.Key)
	if err != nil {
		return fmt.Errorf("ask for %s: %w", s.Reference, err)
	}
	if a.keepsNothing(s.Key) && !landed && !strings.HasSuffix(s.Key, repairSuffix) {
		err := a.askWithoutRecord(s, refuse)
		if !errors.Is(err, errKept) {
			return err
		}
	}
	r, err := a.Record(s.Reference, s.Key)
	if err != nil {
		return err
	}
	if refuse != nil {
		if err := refuse(r.State); err != nil {
			return errors.Join(err, r.Close())
		}
	}
	s.Schema, s.FirstSeen, s.Changed = r.State.Schema, r.State.FirstSeen, s.Asked
	r.State, r.Counters = s, Counters{}
	return errors.Join(r.Save(), r.Close())
}

func (a *Archive) keepsNothing(key string) bool {
	_, err := os.Lstat(a.ingestPath(key))
	return errors.Is(err, fs.ErrNotExist)
}

var errKept = errors.New("something is kept of the export by now")

// askWithoutRecord is AskUnless of an export of which nothing is kept: its line in the ledger
// is all. It fails with errKept if that is no longer so.
func (a *Archive) askWithoutRecord(s State, refuse func(known State) error) (err error) {
	defer func() {
		if err != nil && !errors.Is(err, errKept) {
			err = fmt.Errorf("ask for %s: %w", s.Reference, err)
		}
	}()
	if refuse == nil {
		if locked, _ := rangelock.IsLocked(a.runsPath(locksFile), lockOffset(s.Key)); locked {
			return ErrBusy
		}
		return a.ledger.Append(s.line())
	}
	lock, err := a.lockKey(s.Key)
	defer func() { err = errors.Join(err, lock.close()) }()
	if err != nil {
		return err
	}
	if !a.keepsNothing(s.Key) {
		return errKept
	}
	known, _, err := a.State(s.Key)
	if err == nil {
		err = refuse(known)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return a.ledger.Append(s.line())
}

// Save writes the State and the Counters, and a line in the ledger if the phase is
// another or the export was asked for again; of a repair the ledger tells only that it
// was made. The State is durable when Save returns. If Save fails, the old or the new one
// is.
func (r *Record) Save() error {
	a := r.lock.archive
	if repairs := strings.HasSuffix(r.State.Key, repairSuffix); r.State.Phase != "" && !repairs && (r.State.Ledger == "" || r.State.Phase != r.told.Phase || !r.State.Asked.Equal(r.told.Asked)) {
		if err := a.ledger.Append(r.State.line()); err != nil {
			return fmt.Errorf("save the state of %s: write the ledger: %w", r.State.Reference, err)
		}
	}
	r.State.Ledger = ledger.Schema
	r.told = r.State
	path := r.lock.path(stateFile)
	err := a.step.WriteJSON(path+".new", r.State)
	if err == nil {
		err = a.step.Rename(path+".new", path)
	}
	if err == nil {
		err = a.step.SyncDir(r.lock.dir)
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
	step, path := r.lock.archive.step, r.lock.path(countsFile)
	b, err := json.Marshal(r.Counters)
	if err == nil {
		err = step("write", path+".new")
	}
	if err == nil {
		err = os.WriteFile(path+".new", append(b, '\n'), 0o644)
	}
	if err == nil {
		err = step.Rename(path+".new", path)
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
		err = r.lock.archive.step.SyncDir(r.lock.dir)
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
	return a.StateBy(key, func(key string) (State, error) { return toldBy(a.ledger.Latest(key)) })
}

// StateBy is State for one who knows by other means what the ledger tells, which of does. It
// fails with fs.ErrNotExist if that is nothing.
func (a *Archive) StateBy(key string, of func(key string) (State, error)) (State, Counters, error) {
	dir := a.ingestPath(key)
	state, err := readState(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return State{}, Counters{}, err
	}
	if state.Key != key { // or it is another's
		state, err = State{}, fmt.Errorf("read the state of %s: %w", key, fs.ErrNotExist)
	}
	told, failed := of(key)
	if failed != nil && !errors.Is(failed, fs.ErrNotExist) {
		return State{}, Counters{}, failed
	}
	state.followState(&told)
	if state.Key == "" {
		return State{}, Counters{}, err
	}
	counters, _ := durable.ReadJSON[Counters](filepath.Join(dir, countsFile)) // zero if they can't be read
	return state, counters, nil
}

// readState fails with fs.ErrNotExist if there is no file, or no state in it.
func readState(dir string) (State, error) {
	path := filepath.Join(dir, stateFile)
	s, err := durable.ReadJSON[State](path)
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

// namesPerRead is how many names of the ingest area States reads at a time.
const namesPerRead = 512

// Phases tell how far exports are by the ledger, to one who reads it by an index.
type Phases struct {
	// Of tells of one export. It fails with fs.ErrNotExist if the ledger knows nothing of
	// it.
	Of func(key string) (State, error)

	// Unlanded yields the exports that may not have landed.
	Unlanded iter.Seq2[State, error]
}

// States yields what is known of each export that has not landed, in no order
// and without their locks. An export that landed may be among them if its commit
// was cut short: the next attempt at it clears that up. After an error that
// concerns one export the others follow.
func (a *Archive) States() iter.Seq2[State, error] {
	return func(yield func(State, error) bool) {
		index, err := a.ledger.Index()
		if err != nil {
			yield(State{}, fmt.Errorf("list exports that have not landed: %w", unreadableLedger(err)))
			return
		}
		of := func(key string) (State, error) { return toldBy(index.Lookup(key)) }
		unlanded := func(yield func(State, error) bool) {
			keys, err := index.Unlanded()
			if err != nil {
				yield(State{}, unreadableLedger(err))
				return
			}
			for _, key := range keys {
				if s, err := of(key); !errors.Is(err, fs.ErrNotExist) && !yield(s, err) {
					return
				}
			}
		}
		a.StatesBy(Phases{of, unlanded})(yield)
	}
}

// StatesBy is States for one who knows by other means what the ledger tells.
func (a *Archive) StatesBy(p Phases) iter.Seq2[State, error] {
	return func(yield func(State, error) bool) {
		kept := map[string]bool{}
		for s, err := range a.kept() {
			if err == nil {
				kept[s.Key] = kept[s.Key] || s.Kept
				var told State
				if told, err = p.Of(s.Key); errors.Is(err, fs.ErrNotExist) {
					err = nil
				}
				s.followState(&told)
			}
			if err != nil {
				err = fmt.Errorf("list exports that have not landed: %w", err)
			}
			if !yield(s, err) {
				return
			}
		}
		for s, err := range p.Unlanded {
			if landed, unknown := a.landed(s.Key); err == nil && (kept[s.Key] || unknown == nil && landed) {
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
}

// kept yields the states that are in the ingest area.
func (a *Archive) kept() iter.Seq2[State, error] {
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
				if s.Kept = name == hashName(s.Key); !yield(s, err) {
					return
				}
			}
		}
		if !errors.Is(err, io.EOF) && !errors.Is(err, fs.ErrNotExist) {
			yield(State{}, err)
		}
	}
}
