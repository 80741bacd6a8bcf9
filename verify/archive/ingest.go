package archive

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"tallyman/verify"
	"tallyman/verify/archive/internal/durable"
	"tallyman/verify/archive/ledger"
)

// An Ingest is an export that is being received. It holds the export's lock. Its
// objects may be received by many goroutines at once.
type Ingest struct {
	// Hidden is what HashHidden gives for the part of the reference that is not shown.
	// It is set before anything is received. What was received for another one is
	// taken up only if what the store says proves that it is of the same version.
	Hidden string

	// Single says that the export is one object. If that is small, nothing of it is
	// written that a later attempt would take up, unless this one fails. It is set
	// before anything is received.
	Single bool

	exportLock
	place        string // the key that the export lands under
	former       former // what it is to replace
	reference    string
	token        string // what this attempt wrote to the lock's file of the ingest directory
	mu           sync.Mutex
	bag          string     // the directory of the bag, or "": not made yet
	root         *os.Root   // of its data: no content is created outside it
	unsynced     []*os.File // of the bag, written and not durable
	state        State
	objects      objectIndex
	entered      bool // leaveRun is to be called
	cleanOnClose bool // Close is to drop the content that the object index does not list
}

// Begin locks an export to receive it, and finds what earlier attempts received.
// Reference is the text that may be shown. Begin fails with ErrBusy while another
// attempt or a Record has the lock, and with ErrLanded if the export has landed,
// which is then durable. It fails with a *RemovedError if the export was removed, and nobody
// has asked for it since. The caller closes the Ingest.
//
// A key that RepairKey made is of an export that is to replace another: that is locked
// too, and Begin fails with ErrLanded unless the ledger says that it is damaged, or it
// landed and is not there.
func (a *Archive) Begin(ctx context.Context, reference, key string) (in *Ingest, err error) {
	in = &Ingest{reference: reference, place: key, objects: objectIndex{entries: map[string]objectEntry{}}}
	defer func() {
		if err != nil {
			err = fmt.Errorf("begin %s: %w", reference, errors.Join(err, in.Close()))
			in = nil
		}
	}()
	a.commits.whole()
	if in.exportLock, err = a.lockKey(key); err != nil {
		return in, err
	}
	if place, ok := strings.CutSuffix(key, repairSuffix); ok {
		if err := in.replace(place); err != nil {
			return in, err
		}
	}
	latest, err := a.ledger.Latest(key) // under the lock nobody removes it
	if err != nil {
		return in, unknownLatest(err)
	}
	if latest.Phase != nil && latest.Phase.Kind == ledger.Removed {
		return in, newRemovedError(latest.Phase)
	}
	_, left := os.Lstat(in.dir) // by an earlier attempt
	landed, err := a.landed(key)
	if err != nil {
		return in, err
	}
	if landed || !errors.Is(left, fs.ErrNotExist) || in.ranged == nil || in.place != key {
		return in, in.persist(ctx)
	}
	if err := a.enterRun(); err != nil {
		return in, err
	}
	in.entered = true
	in.state = newState(reference, key)
	return in, nil
}

const repairSuffix = "@repair"

// RepairKey is the key under which an export is received that is to replace the one with
// that key. No reference has it.
func RepairKey(key string) string { return key + repairSuffix }

var errNothingLanded = errors.New("there is nothing to repair: it has not landed")

// replace has the export land in place of another, which is damaged or absent.
func (in *Ingest) replace(place string) (err error) {
	a, f := in.archive, &in.former
	if f.lock, err = a.lockKey(place); err != nil {
		return err
	}
	if _, err := a.inBatch(place); err != nil { // a repair may have been cut short
		return err
	}
	last, err := a.presence(place)
	if err != nil {
		return err
	}
	line, _ := durable.ReadJSON[ledger.Line](in.path(repairFile)) // or the zero Line if there is none
	bag, err := hashTagManifest(a.Path(place))
	if err == nil && line.Bag == bag && (last == nil || last.Bag != bag) { // the disk failed behind the rename
		if err = a.step.SyncParents(filepath.Dir(a.Path(place)), a.dir, nil); err == nil {
			err = a.ledger.Append(line)
		}
		return cmp.Or(err, ErrLanded)
	}
	f.there, err = os.Lstat(a.Path(place))
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case err == nil && (last == nil || last.Kind != ledger.Damaged && last.Kind != ledger.Absent):
		return ErrLanded
	case last == nil || last.Kind == ledger.Removed:
		return errNothingLanded
	}
	in.place = place
	return f.know(a, place)
}

// repairFile has the line of a repair, from before its bag is renamed. One that an
// earlier attempt left is of another bag.
const repairFile = "repair.json"

// Had reports whether the export that this one is to replace had an object of that name,
// as far as that is known.
func (in *Ingest) Had(name string) bool {
	_, ok := in.former.objects[name]
	return ok || in.former.objects == nil
}

// Repaired is Landed of an export that is replaced, and fails with a *Damage or
// fs.ErrNotExist until it is. It clears up what is left of an attempt to replace it.
func (a *Archive) Repaired(key string) (*Receipt, error) {
	r, err := a.Landed(key)
	if err != nil {
		return nil, err
	}
	if _, err := os.Lstat(a.ingestPath(RepairKey(key))); err == nil {
		if lock, _, err := a.lockExport(r.Reference, RepairKey(key)); err == nil {
			_ = lock.remove() // if this fails, the next call removes what is left
			lock.close()
		}
	}
	return r, nil
}

// persist makes the ingest directory, which outlives this attempt, unless it has done
// so before. It fails as Begin does.
func (in *Ingest) persist(ctx context.Context) (err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.file != nil {
		return nil
	}
	if in.state, err = in.lockIngest(in.reference); err != nil {
		return err
	}
	if err := in.archive.step("write", in.path(lockFile)); err != nil {
		return err
	}
	in.token = rand.Text()
	if err := os.WriteFile(in.path(lockFile), []byte(in.token), 0o600); err != nil {
		return err
	}
	if !in.entered {
		if err := in.archive.enterRun(); err != nil {
			return err
		}
		in.entered = true
	}
	if err := in.dropBag(); err != nil {
		return err
	}
	in.bag = in.path(bagDir)
	data := filepath.Join(in.bag, dataDir)
	for _, dir := range []string{in.path(partsDir), data} {
		if err := in.archive.step.Mkdirs(dir); err != nil {
			return err
		}
	}
	if in.root, err = os.OpenRoot(data); err != nil {
		return err
	}
	if err := in.objects.load(ctx, in.archive.step, in.path(objectsFile), in.root); err != nil {
		return err
	}
	in.cleanOnClose = true
	return in.cleanBag()
}

// checkLock fails with ErrFileSystem if another attempt has persisted something since
// this one did. Where each machine, or each mount, has locks of its own, a lock keeps
// nobody out.
func (in *Ingest) checkLock() error {
	if in.file == nil {
		return nil
	}
	token, err := os.ReadFile(in.path(lockFile))
	if errors.Is(err, fs.ErrNotExist) || err == nil && string(token) != in.token {
		return fmt.Errorf("%w whose locks hold for all who use it: another attempt has begun while this one had the lock %s", ErrFileSystem, in.path(lockFile))
	}
	return err
}

// openBag returns the root of the bag's data. If nothing was persisted, the bag is made
// in the directory of the process.
func (in *Ingest) openBag() (_ *os.Root, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.root != nil {
		return in.root, nil
	}
	in.bag = filepath.Join(in.archive.run.dir, hashName(in.key))
	data := filepath.Join(in.bag, dataDir)
	if err := in.archive.step("mkdir", data); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(data, 0o755); err != nil {
		return nil, err
	}
	in.root, err = os.OpenRoot(data)
	return in.root, err
}

// dropBag removes a bag that was made in the directory of the process.
func (in *Ingest) dropBag() (err error) {
	for _, f := range in.unsynced {
		err = errors.Join(err, f.Close())
	}
	if in.root != nil {
		err = errors.Join(err, in.root.Close())
	}
	if in.bag != "" && in.bag != in.path(bagDir) {
		err = errors.Join(err, in.archive.step.RemoveAll(in.bag))
	}
	in.unsynced, in.root, in.bag = nil, nil, ""
	return err
}

// maxUnsynced is how many content files of an export are held open for the sync of its
// batch. More are synced when they are closed.
const maxUnsynced = 4

// holdOpen takes over a content file, which is written, until the export is committed.
// It does so only where nothing is persisted that says that the file is durable.
func (in *Ingest) holdOpen(f *os.File) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.file != nil || len(in.unsynced) == maxUnsynced {
		return false
	}
	in.unsynced = append(in.unsynced, f)
	return true
}

// cleanBag removes from the bag all but the files of the objects that are done.
// Attempts that were cut short left the rest.
func (in *Ingest) cleanBag() error {
	bag := in.bag
	keep := map[string]bool{".": true, dataDir: true}
	for o, err := range in.objects.all() {
		if err != nil {
			return err
		}
		for _, f := range o.Files {
			for p := path.Join(dataDir, f.Path); !keep[p]; p = path.Dir(p) {
				keep[p] = true
			}
		}
	}
	return fs.WalkDir(os.DirFS(bag), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || keep[name] {
			return err
		}
		err = in.archive.step.RemoveAll(filepath.Join(bag, filepath.FromSlash(name)))
		if err == nil && e.IsDir() {
			return fs.SkipDir
		}
		return err
	})
}

// Done reports whether an earlier attempt received and proved the object, under a
// promise that does not contradict want, and for the same hidden part of the
// reference unless want is a hash. If so, the object is in the export that Commit
// makes; Commit leaves out objects that were not asked for.
func (in *Ingest) Done(name string, want verify.Want) bool {
	in.objects.mu.Lock()
	defer in.objects.mu.Unlock()
	e, ok := in.objects.entries[name]
	if !ok {
		return false
	}
	o, _, err := in.objects.read(name)
	if err == nil {
		_, err = want.Merge(name, o.Store.want())
	}
	e.wanted = err == nil && SameVersion(want, o.Job.want()) && (want.HasHash() || o.Hidden == in.Hidden)
	in.objects.entries[name] = e
	return e.wanted
}

// Close ends the attempt and unlocks the export. What was received is kept,
// unless the export was committed. Content of objects that are not done is
// removed.
func (in *Ingest) Close() error {
	var err error
	if in.cleanOnClose && in.checkLock() == nil { // else the content is another attempt's
		err = in.cleanBag()
	}
	err = errors.Join(err, in.dropBag())
	if in.objects.file != nil {
		err = errors.Join(err, in.objects.file.Close())
	}
	err = errors.Join(err, in.close(), in.former.lock.close())
	if in.entered {
		err = errors.Join(err, in.archive.leaveRun())
		in.entered = false
	}
	return err
}

const pinsFile = "pins.jsonl"

// A pin is a line of the pins: an object, or, in the last line, their number.
type pin struct {
	Name    string  `json:"name,omitempty"`
	Content string  `json:"content,omitempty"`
	Want    Promise `json:"want,omitzero"`
	Total   *int    `json:"total,omitempty"`
}

// A Pinned is one object of an export as it was listed.
type Pinned struct {
	Name    string
	Content string // the declared content type
	Want    verify.Want
}

// Pin writes down which objects the export has and what was promised of each, so
// that later attempts receive the same objects and no others. An error among the
// objects ends Pin, and nothing is pinned.
func (in *Ingest) Pin(objects iter.Seq2[Pinned, error]) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("pin: %w", err)
		}
	}()
	if err := in.persist(context.Background()); err != nil {
		return err
	}
	step, draft := in.archive.step, in.path(pinsFile+".new")
	if err := step("write", draft); err != nil {
		return err
	}
	f, err := os.Create(draft)
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
	if err := errors.Join(lines.Encode(pin{Total: &total}), w.Flush(), step.Sync(f)); err != nil {
		return err
	}
	return step.Rename(draft, in.path(pinsFile))
}

// Unpin forgets the pinned objects, because the source has changed since.
func (in *Ingest) Unpin() error { return in.archive.step.RemoveAll(in.path(pinsFile)) }

// Pins reads the pinned objects, by name. It fails with fs.ErrNotExist if no
// attempt has pinned them completely.
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
