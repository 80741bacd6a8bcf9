package archive

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/gofrs/flock"

	"tallyman/verify/archive/internal/rangelock"
	"tallyman/verify/archive/ledger"
)

const (
	runsDir   = "run"
	batchFile = "batch.jsonl"
	locksFile = "locks"
)

// A run is what this process has in .ingest/run: the locks of its exports, and, while
// any of its Ingests is open, a directory of its own.
type run struct {
	mu    sync.Mutex
	users int // Ingests that are open
	dir   string
	lock  *flock.Flock // of batch
	batch *os.File     // the lines of the batch that is being committed
	named bool         // the name of batch is durable

	locks   *rangelock.File
	noLocks atomic.Bool // the system has none of that kind

	unsaid []ledger.Line // of exports in their places, that could not be appended yet; under commits.turn
}

func (a *Archive) runsPath(elem ...string) string {
	return filepath.Join(append([]string{a.dir, ingestDir, runsDir}, elem...)...)
}

// enterRun makes the directory of this process, if it is not there, and clears up
// behind processes that have ended. Each call is followed by one of leaveRun.
func (a *Archive) enterRun() (err error) {
	r := &a.run
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.users > 0 {
		r.users++
		return nil
	}
	if err := a.clearRuns(); err != nil {
		return err
	}
	for r.lock == nil {
		r.dir = a.runsPath(rand.Text())
		if r.lock, err = a.lockFile(filepath.Join(r.dir, batchFile)); err != nil && !errors.Is(err, ErrBusy) { // busy: another took it for one of a process that has ended
			return err
		}
	}
	r.batch, err = os.OpenFile(r.lock.Path(), os.O_RDWR, 0)
	if err != nil {
		return errors.Join(err, a.dropRun())
	}
	r.named = false
	r.users++
	return nil
}

// leaveRun removes the directory of this process once its last Ingest is closed.
func (a *Archive) leaveRun() error {
	a.run.mu.Lock()
	defer a.run.mu.Unlock()
	if a.run.users--; a.run.users > 0 {
		return nil
	}
	return a.dropRun()
}

func (a *Archive) dropRun() (err error) {
	r := &a.run
	if r.batch != nil {
		err = r.batch.Close()
	}
	if len(r.unsaid) == 0 { // else the next process appends them
		err = errors.Join(err, a.disk.removeAll(r.dir))
	}
	err = errors.Join(err, r.lock.Close())
	_ = os.Remove(a.runsPath()) // which fails if another process is at work
	r.lock, r.batch, r.unsaid = nil, nil, nil
	return err
}

// clearRuns finishes what processes that have ended began to commit, and removes what
// they received.
func (a *Archive) clearRuns() error {
	entries, err := os.ReadDir(a.runsPath())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
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
		if err == nil {
			err = errors.Join(a.finishBatch(dir), lock.Close())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// finishBatch makes those exports of a batch durable that are in their places, appends
// their lines, and removes the directory of the process that began it. The caller has
// its lock.
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
		if err := a.disk.syncParents(filepath.Dir(a.Path(line.Key)), a.dir); err != nil {
			return err
		}
		lacking = append(lacking, line)
	}
	if len(lacking) > 0 {
		if err := a.ledger.Append(lacking...); err != nil {
			return err
		}
	}
	return a.disk.removeAll(dir)
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
func (r *run) writeBatch(d disk, lines []ledger.Line) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	for _, l := range lines {
		if err := encoder.Encode(l); err != nil {
			return err
		}
	}
	if err := d.step("write", r.batch.Name()); err != nil {
		return err
	}
	if _, err := r.batch.WriteAt(text.Bytes(), 0); err != nil {
		return err
	}
	return r.batch.Truncate(int64(text.Len()))
}

// syncBatch makes what writeBatch has written durable.
func (r *run) syncBatch(d disk) error {
	if err := d.sync(r.batch); err != nil || r.named {
		return err
	}
	err := d.syncParents(r.dir, filepath.Dir(filepath.Dir(r.dir)))
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
		return true, a.clearRuns()
	}
	return false, nil
}

// tryLock locks an export against every other attempt of this version. It reports
// whether it did, and whether the system can: else the lock's file of the ingest
// directory has to do.
func (a *Archive) tryLock(key string) (locked, can bool, err error) {
	if a.run.noLocks.Load() {
		return false, false, nil
	}
	if err := a.disk.mkdirs(filepath.Join(a.dir, ingestDir)); err != nil {
		return false, false, err
	}
	if err := a.disk.step("lock", a.runsPath(locksFile)); err != nil {
		return false, false, err
	}
	locked, err = a.run.locks.TryLock(lockOffset(key))
	if errors.Is(err, errors.ErrUnsupported) {
		a.run.noLocks.Store(true)
		return false, false, nil
	}
	return locked, true, err
}
