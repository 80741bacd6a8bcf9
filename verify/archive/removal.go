package archive

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"tallyman/verify/archive/ledger"
)

// A RemovedError says that a person took an export out of the lists: it is neither in its
// place nor missed. It is a fs.ErrNotExist.
type RemovedError struct {
	Key, Reference string
	At             time.Time
	By, Reason     string
	Deleted        bool // its bag, if it had one
}

func newRemovedError(line *ledger.Line) *RemovedError {
	return &RemovedError{Key: line.Key, Reference: line.Ref, At: line.At, By: line.By, Reason: line.Reason, Deleted: line.Deleted}
}

// Error says when and by whom it was removed, and why.
func (r *RemovedError) Error() string {
	return fmt.Sprintf("it was removed on %s by %s: %s", r.At.UTC().Format("2006-01-02 15:04:05 MST"), cmp.Or(r.By, "someone"), r.Reason)
}

// Is reports whether target is fs.ErrNotExist.
func (r *RemovedError) Is(target error) bool { return target == fs.ErrNotExist }

// A Removal takes an export out of the lists.
type Removal struct {
	Reference, Key string
	By, Reason     string // who wants it, and why
	Delete         bool   // the bag, what is left of earlier ones that were damaged, and what was received
}

const (
	removalPrefix = "removed-" // of a directory in that of a process: a removal that it makes
	removalFile   = "line.json"
)

// asideName matches what putAside gives to the end of a key.
var asideName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^@\d{8}T\d{6}Z$`) })

// Remove takes an export out of the lists, whatever it is: one that has not landed, that is
// damaged or absent, or with Delete one that landed. The ledger is told first; then what
// was received is dropped, and the bag is deleted or, if it is damaged and not to be
// deleted, put aside. If the process dies between, the next that begins an attempt, or looks
// for the export, goes on. Remove fails with ErrBusy while an attempt is under way, and with
// ErrLanded if the export has landed and Delete is not set. To remove it again does nothing,
// unless it is to be deleted now and was not.
func (a *Archive) Remove(r Removal) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("remove %s: %w", r.Reference, err)
		}
	}()
	_, err = a.Landed(r.Key) // which finishes what was cut short
	before, removed := errors.AsType[*RemovedError](err)
	absent := errors.Is(err, fs.ErrNotExist)
	switch {
	case removed && !a.isWanted(r.Key) && (!r.Delete || before.Deleted && len(a.asides(r.Key)) == 0):
		return nil
	case err == nil && !r.Delete:
		return ErrLanded
	case err != nil && !absent && !errors.Is(err, ErrDamaged):
		return err
	}
	if err := a.enterRun(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.leaveRun()) }()
	lock, err := a.lockKey(r.Key)
	defer func() { err = errors.Join(err, lock.close()) }()
	if err == nil && lock.ranged == nil {
		lock.file, err = a.lockFile(lock.path(lockFile))
	}
	if err != nil {
		return err
	}
	if landed, err := a.landed(r.Key); err != nil || landed && absent || lock.ranged != nil && isLocked(lock.path(lockFile)) {
		return cmp.Or(err, ErrBusy) // it has landed since, or an earlier version has it in hand
	}
	line := ledger.Line{Kind: ledger.Removed, Ref: r.Reference, Key: r.Key, By: r.By, Reason: r.Reason, Deleted: r.Delete}
	line.Bag, _ = hashTagManifest(a.Path(r.Key)) // "" if there is none, or it is damaged
	dir := filepath.Join(a.run.dir, removalPrefix+hashName(r.Key))
	if err := a.step.Mkdirs(dir); err != nil {
		return err
	}
	if err := a.step.WriteJSON(filepath.Join(dir, removalFile), line); err != nil {
		return err
	}
	if err := a.step.SyncParents(dir, a.dir, nil); err != nil {
		return err
	}
	if err := a.ledger.Append(line); err != nil {
		return err
	}
	if err := a.finishRemoval(dir); err != nil {
		a.run.mu.Lock()
		a.run.unfinished = true
		a.run.mu.Unlock()
		return fmt.Errorf("the ledger says so, and the next run goes on with what is left: %w", err)
	}
	return nil
}

// isWanted reports whether an export was asked for after it was removed.
func (a *Archive) isWanted(key string) bool {
	latest, err := a.ledger.Latest(key)
	return err == nil && latest.Phase != nil && latest.Phase.Kind != ledger.Removed
}

// finishRemoval does what is left of a removal, by its directory in that of the process
// that began it, unless the ledger was not told, or the export is back since.
func (a *Archive) finishRemoval(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, removalFile))
	if errors.Is(err, fs.ErrNotExist) {
		return a.step.RemoveAll(dir)
	}
	if err != nil {
		return err
	}
	var line ledger.Line
	if json.Unmarshal(text, &line) != nil || !fs.ValidPath(line.Key) { // it was cut short, before the ledger was told
		return a.step.RemoveAll(dir)
	}
	latest, err := a.ledger.Latest(line.Key)
	if err != nil {
		return unknownLatest(err)
	}
	last := latest.Presence
	if last == nil || last.Kind != ledger.Removed || last.Bag != line.Bag || last.Reason != line.Reason {
		return a.step.RemoveAll(dir)
	}
	place := a.Path(line.Key)
	bag, _ := hashTagManifest(place)
	_, err = os.Lstat(place)
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && bag != line.Bag: // another was put there
	case err != nil:
		return err
	case line.Deleted:
		err = a.moveInto(dir, place)
	default:
		err = a.moveAside(line.Key)
	}
	for _, aside := range a.asides(line.Key) {
		if line.Deleted && (err == nil || errors.Is(err, fs.ErrNotExist)) {
			err = a.moveInto(dir, aside)
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if latest.Phase == nil || latest.Phase.Kind == ledger.Removed {
		for _, key := range []string{line.Key, RepairKey(line.Key)} {
			if err := a.dropIngest(key); err != nil {
				return err
			}
		}
	}
	return a.step.RemoveAll(dir)
}

// moveInto moves a bag out of its place, to be removed with dir.
func (a *Archive) moveInto(dir, bag string) error {
	err := a.step.Rename(bag, filepath.Join(dir, hashName(bag)))
	if err == nil {
		err = a.step.SyncDir(dir)
	}
	if err == nil {
		err = a.step.SyncDir(filepath.Dir(bag))
	}
	return err
}

// asides are the paths of the bags of an export that were damaged and put aside.
func (a *Archive) asides(key string) (paths []string) {
	dir := filepath.Join(a.dir, damagedDir, filepath.FromSlash(path.Dir(key)))
	entries, _ := os.ReadDir(dir) // none if nothing was put aside
	for _, e := range entries {
		if at, ok := strings.CutPrefix(e.Name(), path.Base(key)); ok && asideName().MatchString(at) {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths
}

// dropIngest removes what was received of an export, unless another has it in hand.
func (a *Archive) dropIngest(key string) error {
	l := exportLock{archive: a, key: key, dir: a.ingestPath(key)}
	if _, err := os.Lstat(l.dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var err error
	if l.file, err = a.lockFile(l.path(lockFile)); err != nil {
		if errors.Is(err, ErrBusy) {
			return nil
		}
		return err
	}
	return errors.Join(l.remove(), l.close())
}

// finishRemovals does what is left of the removals of a process that has ended.
func (a *Archive) finishRemovals(run string) (err error) {
	dirs, _ := filepath.Glob(filepath.Join(run, removalPrefix+"*")) // it fails for a bad pattern alone
	for _, dir := range dirs {
		err = errors.Join(err, a.finishRemoval(dir))
	}
	return err
}

// settleRemoved returns the last line of an export that was removed, and of which a bag is
// in its place all the same: first what was cut short is finished, be it the removal or a
// later commit.
func (a *Archive) settleRemoved(key string, last *ledger.Line) (*ledger.Line, error) {
	landed, err := a.landed(key)
	if !landed || err != nil {
		return last, err
	}
	if _, err := a.inBatch(key); err == nil {
		begun, _ := a.clearRuns() // who may not write leaves it as it is
		a.count(begun)
	}
	return a.presence(key)
}

// Removed yields what was removed, ordered by key. It ends after the first error.
func (a *Archive) Removed() iter.Seq2[*RemovedError, error] {
	return func(yield func(*RemovedError, error) bool) {
		index, err := a.ledger.Index()
		if err != nil {
			yield(nil, unreadableLedger(err))
			return
		}
		keys, err := index.Keys()
		if err != nil {
			yield(nil, unreadableLedger(err))
			return
		}
		for _, key := range keys {
			latest, err := index.Lookup(key)
			if err != nil || latest.Presence == nil || latest.Presence.Kind != ledger.Removed || isBag(a.Path(key)) {
				continue // a line that can't be read is told of with the export
			}
			if !yield(newRemovedError(latest.Presence), nil) {
				return
			}
		}
	}
}
