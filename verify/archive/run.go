package archive

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/gofrs/flock"

	"tallyman/verify/archive/internal/durable"
	"tallyman/verify/archive/ledger"
)

const (
	runsDir    = "run"
	batchFile  = "batch.jsonl"
	startsFile = "starts.jsonl"
	locksFile  = "locks"

	// maxStarts is how many bytes startsFile may have before what has ended is dropped
	// from it.
	maxStarts = 1 << 20
)

// A run is what this process has in .ingest/run while any of its Ingests is open: a
// directory of its own.
type run struct {
	mu    sync.Mutex
	users int // Ingests that are open
	dir   string
	lock  *flock.Flock // of batch
	batch *os.File     // the lines of the batch that is being committed
	named bool         // the name of batch is durable

	starts  *os.File
	started int              // bytes of starts
	begun   map[string]start // that have not ended, by key

	noLocks atomic.Bool // the system has no locks of bytes

	unfinished bool // a removal, which the next process goes on with

	unsaid []ledger.Line // of exports in their places, that could not be appended yet; under commits.turn
}

func (a *Archive) runsPath(elem ...string) string {
	return filepath.Join(append([]string{a.dir, ingestDir, runsDir}, elem...)...)
}

// A start is a line of startsFile: an attempt that begins, or that has ended.
type start struct {
	Begin     string `json:"begin,omitempty"` // the key
	Reference string `json:"ref,omitempty"`
	End       string `json:"end,omitempty"` // the key
}

// Attempt notes that this process begins an attempt at an export, or asks its job. If
// the process dies before it calls end, the next one to begin counts that in the
// Counters of the export. end is called once.
func (a *Archive) Attempt(reference, key string) (end func(), err error) {
	if err := a.enterRun(); err != nil {
		return nil, fmt.Errorf("begin an attempt at %s: %w", reference, err)
	}
	if err := a.run.note(a.step, start{Begin: key, Reference: reference}); err != nil {
		return nil, fmt.Errorf("begin an attempt at %s: %w", reference, errors.Join(err, a.leaveRun()))
	}
	return func() {
		_ = a.run.note(a.step, start{End: key}) // else it counts as one that died if this process dies
		_ = a.leaveRun()                        // the next process clears up
	}, nil
}

// note writes down what begins or has ended. It is not durable: a power cut is no fault
// of an export.
func (r *run) note(step durable.Step, s start) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	line, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if s.End != "" {
		delete(r.begun, s.End)
	} else {
		r.begun[s.Begin] = s
	}
	if err := step("write", r.starts.Name()); err != nil {
		return err
	}
	n, err := r.starts.Write(append(line, '\n'))
	if r.started += n; err != nil || r.started < maxStarts {
		return err
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	for _, s := range r.begun {
		err = errors.Join(err, encoder.Encode(s))
	}
	path := filepath.Join(r.dir, startsFile)
	f, failed := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_APPEND|os.O_WRONLY, 0o644)
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	if _, err = f.Write(text.Bytes()); err == nil {
		err = step.Rename(path+".new", path)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	f, r.starts, r.started = r.starts, f, text.Len()
	return f.Close()
}

// readStarts returns the attempts that began and did not end in the directory of a
// process.
func readStarts(dir string) (begun []start) {
	text, _ := os.ReadFile(filepath.Join(dir, startsFile)) // who ends before the first has none
	open := map[string]start{}
	for line := range bytes.Lines(text) {
		var s start
		if json.Unmarshal(line, &s) == nil {
			delete(open, s.End)
			open[s.Begin] = s
		}
	}
	delete(open, "")
	return slices.Collect(maps.Values(open))
}

// count counts attempts that began and whose process died. It counts none of an export
// that has landed since, or that someone has in hand.
func (a *Archive) count(begun []start) {
	for _, s := range begun {
		if landed, err := a.landed(s.Begin); landed || err != nil {
			continue
		}
		r, err := a.Record(s.Reference, s.Begin)
		if err != nil {
			continue
		}
		bytes, objects := a.Received(s.Begin)
		if progress := bytes + objects; progress != r.Counters.Progress { // an object may have no bytes
			r.Counters.Progress, r.Counters.Starts = progress, 0
		}
		r.Counters.Starts++
		_ = r.SaveCounters()
		_ = r.Close()
	}
}

// enterRun makes the directory of this process, if it is not there, and clears up
// behind processes that have ended. Each call is followed by one of leaveRun.
func (a *Archive) enterRun() (err error) {
	r := &a.run
	var begun []start
	defer func() { a.count(begun) }() // once r is unlocked, since that looks at batches
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.users > 0 {
		r.users++
		return nil
	}
	if begun, err = a.clearRuns(); err != nil {
		return err
	}
	for r.lock == nil {
		r.dir = a.runsPath(rand.Text())
		if r.lock, err = a.lockFile(filepath.Join(r.dir, batchFile)); err != nil && !errors.Is(err, ErrBusy) { // busy: another took it for one of a process that has ended
			return err
		}
	}
	batch, err := os.OpenFile(r.lock.Path(), os.O_RDWR, 0)
	if err == nil {
		if r.starts, err = os.OpenFile(filepath.Join(r.dir, startsFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644); err != nil {
			err = errors.Join(err, batch.Close())
		}
	}
	if err != nil {
		err = errors.Join(err, a.removeRun(r.dir, r.lock))
		r.lock = nil
		return err
	}
	r.batch, r.named = batch, false
	r.begun, r.started = map[string]start{}, 0
	r.users++
	return nil
}

// leaveRun removes the directory of this process once its last Ingest is closed.
func (a *Archive) leaveRun() error {
	r := &a.run
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.users--; r.users > 0 {
		return nil
	}
	err := errors.Join(r.batch.Close(), r.starts.Close())
	if len(r.unsaid) == 0 && !r.unfinished {
		err = errors.Join(err, a.removeRun(r.dir, r.lock))
	} else { // the next process goes on
		err = errors.Join(err, r.lock.Close())
	}
	_ = os.Remove(a.runsPath()) // which fails if another process is at work
	r.lock, r.batch, r.starts, r.unsaid, r.unfinished = nil, nil, nil, nil, false
	return err
}

// removeRun removes the directory of a process, and then unlocks it. As in exportLock.close,
// it may be empty only now.
func (a *Archive) removeRun(dir string, lock *flock.Flock) error {
	err := a.step.RemoveAll(dir)
	if errors.Is(err, fs.ErrExist) { // it is not empty
		err = nil
	}
	err = errors.Join(err, lock.Close())
	_ = os.Remove(dir)
	return err
}

// clearRuns finishes what processes that have ended began to commit or to remove, and
// removes what they received. It returns the attempts that they did not end. A removal that
// can't be finished keeps nobody from an attempt.
func (a *Archive) clearRuns() (begun []start, err error) {
	entries, err := os.ReadDir(a.runsPath())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		dir := a.runsPath(e.Name())
		if !e.IsDir() || isLocked(filepath.Join(dir, batchFile)) {
			continue
		}
		lock, err := a.lockFile(filepath.Join(dir, batchFile))
		if errors.Is(err, ErrBusy) {
			continue
		}
		if err != nil {
			return begun, err
		}
		starts := readStarts(dir)
		if err := a.finishBatch(dir); err != nil {
			return begun, errors.Join(err, lock.Close())
		}
		if err := a.finishRemovals(dir); err != nil {
			if err := lock.Close(); err != nil {
				return begun, err
			}
			continue
		}
		if err := a.removeRun(dir, lock); err != nil {
			return begun, err
		}
		begun = append(begun, starts...)
	}
	return begun, nil
}

// finishBatch makes those exports of a batch durable that are in their places, and appends
// their lines. The caller has the lock of the process that began it.
func (a *Archive) finishBatch(dir string) error {
	lines, err := readBatch(dir)
	if err != nil {
		return err
	}
	lacking := lines[:0]
	for _, line := range lines {
		bag, err := hashTagManifest(a.Path(line.Key))
		if errors.Is(err, ErrDamaged) || err == nil && bag != line.Bag {
			continue // it did not get its name, or is not as it was by now
		}
		if err != nil {
			return err
		}
		known, err := a.presence(line.Key)
		if err != nil {
			return err
		}
		if known != nil && known.Bag == bag {
			continue
		}
		if err := a.step.SyncParents(filepath.Dir(a.Path(line.Key)), a.dir, nil); err != nil {
			return err
		}
		lacking = append(lacking, line)
	}
	if len(lacking) > 0 {
		return a.ledger.Append(lacking...)
	}
	return nil
}

// readBatch reads the lines of the batch in the directory of a process. A line that
// was cut short is of a batch that renamed nothing yet.
func readBatch(dir string) (lines []ledger.Line, err error) {
	text, err := os.ReadFile(filepath.Join(dir, batchFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for line := range bytes.Lines(text) {
		var l ledger.Line
		if json.Unmarshal(line, &l) == nil && fs.ValidPath(l.Key) {
			lines = append(lines, l)
		}
	}
	return lines, nil
}

// writeBatch writes down which exports are about to get their names, so that whoever
// finds one in its place and without a line knows that it was proven. It is durable
// once syncBatch has returned.
func (r *run) writeBatch(step durable.Step, lines []ledger.Line) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	for _, l := range lines {
		if err := encoder.Encode(l); err != nil {
			return err
		}
	}
	if err := step("write", r.batch.Name()); err != nil {
		return err
	}
	if _, err := r.batch.WriteAt(text.Bytes(), 0); err != nil {
		return err
	}
	return r.batch.Truncate(int64(text.Len()))
}

// syncBatch makes what writeBatch has written durable.
func (r *run) syncBatch(step durable.Step) error {
	if err := step.Sync(r.batch); err != nil || r.named {
		return err
	}
	err := step.SyncParents(r.dir, filepath.Dir(filepath.Dir(r.dir)), nil)
	r.named = err == nil
	return err
}

// inBatch reports whether a process has begun to commit an export, and has ended or
// not. It finishes the batches of those that have ended.
func (a *Archive) inBatch(key string) (bool, error) {
	entries, err := os.ReadDir(a.runsPath())
	if err != nil {
		return false, nil // there has been no process
	}
	for _, e := range entries {
		lines, err := readBatch(a.runsPath(e.Name()))
		if err != nil || !slices.ContainsFunc(lines, func(l ledger.Line) bool { return l.Key == key }) {
			continue
		}
		a.run.mu.Lock()
		own := a.run.users > 0 && a.runsPath(e.Name()) == a.run.dir
		a.run.mu.Unlock()
		if own {
			a.commits.turn.Lock()
			defer a.commits.turn.Unlock()
			return true, a.appendUnsaid()
		}
		begun, err := a.clearRuns()
		a.count(begun)
		return true, err
	}
	return false, nil
}
