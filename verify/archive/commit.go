package archive

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"tallyman/verify/archive/internal/durable"
	"tallyman/verify/archive/ledger"
)

// Commit makes the export land: when Commit returns, the export is under its
// final name and durable. If Commit fails, the export is absent, or complete but
// perhaps not durable; the next attempt finds out which. The verdicts on the
// bytes come from the objects that are done. Of those, the export gets the ones
// for which this attempt called Done or Finish. Commit is called once, when all
// Partials are closed, and Close after it.
func (in *Ingest) Commit(s Summary) (r *Receipt, err error) {
	in.cleanOnClose = false // the bag is being completed; what stays of it the next Begin cleans
	defer func() {
		if err != nil {
			r, err = nil, fmt.Errorf("commit: %w", err)
		}
	}()
	if err := in.checkLock(); err != nil {
		return nil, err
	}
	if r, err = in.newReceipt(s); err != nil {
		return nil, err
	}
	if in.place != in.key {
		if err := in.compare(r); err != nil {
			return nil, err
		}
	}
	files, bag, err := in.writeBag(r)
	c := &commitment{
		in: in, bag: in.bag, final: in.archive.Path(in.place), files: append(in.unsynced, files...), line: landedLine(r, bag), err: err,
	}
	if in.place != in.key && err == nil {
		c.line.Kind, c.line.Reason = ledger.Restored, "fetched anew"
		if c.err = in.archive.step.WriteJSON(in.path(repairFile), c.line); c.err == nil {
			c.err = in.archive.step.SyncDir(in.dir)
		}
		err = c.err
	}
	if err == nil {
		in.archive.commit(c)
	}
	for _, f := range c.files {
		c.err = errors.Join(c.err, f.Close())
	}
	in.unsynced = nil
	if c.err != nil {
		return nil, c.err
	}
	if in.file == nil {
		in.bag = "" // it has moved
	} else {
		_ = in.remove() // the export has landed; if this fails, the next to lock the export removes what is left
	}
	return r, nil
}

// A commitment is an export whose bag is written and has to land.
type commitment struct {
	in    *Ingest
	bag   string     // its directory
	final string     // where it is to be
	files []*os.File // of the bag, written and not durable
	line  ledger.Line
	done  bool // the commit has ended, by err
	err   error
}

// commits are what the Ingests of this process commit.
type commits struct {
	turn    sync.Mutex // of who commits for all that wait
	mu      sync.Mutex
	waiting []*commitment
	durable sync.Map // of the fs.FileInfo of a directory whose name is durable, by its path

	// whole opens the directory by which the file system is synced as a whole, or returns
	// nil if it can't be. It is called before the first write: errors count that come after.
	whole func() *os.File
}

const (
	// minWholeSync is how many exports a commit has at least that syncs the whole file
	// system, with what others have written to it, in place of each file.
	minWholeSync = 2

	maxSyncs = 16 // at once; a file system merges them into fewer writes of its journal
)

// commit commits an export, together with all others that are ready by the time that
// those before them are committed.
func (a *Archive) commit(c *commitment) {
	a.commits.mu.Lock()
	a.commits.waiting = append(a.commits.waiting, c)
	a.commits.mu.Unlock()
	a.commits.turn.Lock()
	defer a.commits.turn.Unlock()
	if c.done {
		return
	}
	a.commits.mu.Lock()
	batch := a.commits.waiting
	a.commits.waiting = nil
	a.commits.mu.Unlock()
	a.commitBatch(batch)
	for _, c := range batch {
		c.done = true
	}
}

// commitBatch commits exports, and sets the error of each that may not be durable in
// its place. Each step is made for all of them before the next.
func (a *Archive) commitBatch(batch []*commitment) {
	failed := func(why string, err error) {
		for _, c := range batch {
			if c.err == nil && err != nil {
				c.err = fmt.Errorf("%s: %w", why, err)
			}
		}
	}
	lines := slices.Clone(a.run.unsaid)
	for _, c := range batch {
		lines = append(lines, c.line)
	}
	failed("write down the batch", a.run.writeBatch(a.step, lines))
	a.syncBags(batch)
	failed("make room in the ledger", a.ledger.Reserve(int64(len(lines))*lineSize))
	parents := map[string]error{} // that have new names, and whether these are durable
	for _, c := range batch {
		if c.err == nil {
			c.err = a.moveBag(c)
		}
		if c.err == nil {
			parents[filepath.Dir(c.final)] = nil
		}
	}
	for dir := range parents {
		parents[dir] = a.step.SyncParents(dir, a.dir, &a.commits.durable)
	}
	for _, c := range batch {
		if c.err == nil {
			c.err = parents[filepath.Dir(c.final)]
		}
		if c.err == nil {
			a.run.unsaid = append(a.run.unsaid, c.line)
		}
	}
	failed("write the ledger", a.appendUnsaid())
}

// appendUnsaid appends the lines of exports that are durable in their places. In an
// archive that was just made, the first says that nothing landed before.
func (a *Archive) appendUnsaid() error {
	lines := a.run.unsaid
	if len(lines) == 0 {
		return nil
	}
	if a.fresh {
		lines = append([]ledger.Line{{Kind: ledger.Adopted, Through: true}}, lines...)
	}
	err := a.ledger.Append(lines...)
	if err == nil {
		a.run.unsaid, a.fresh = nil, false
	}
	return err
}

// lineSize is more bytes than most lines have that say that an export landed.
const lineSize = 1 << 10

// moveBag gives a bag its final name.
func (a *Archive) moveBag(c *commitment) error {
	err := errors.Join(a.step.Mkdirs(filepath.Dir(c.final)), c.in.checkLock())
	if err == nil && c.in.place != c.in.key {
		err = a.putAside(c.in)
	}
	if err == nil {
		err = a.step.Rename(c.bag, c.final)
	}
	for _, refusal := range nameRefusals {
		if errors.Is(err, refusal) {
			return fmt.Errorf("%w: %s", ErrName, err.Error())
		}
	}
	if errors.Is(err, fs.ErrExist) { // an attempt of an earlier version did not see the lock
		return errors.Join(ErrLanded, err)
	}
	return err
}

// putAside moves what is in the place of an export that is replaced, whatever it is,
// and makes that durable before anything else gets the name.
func (a *Archive) putAside(in *Ingest) error {
	final := a.Path(in.place)
	there, err := os.Lstat(final)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case in.former.there == nil || !os.SameFile(there, in.former.there): // it came since, from who sees no lock
		return ErrLanded
	}
	return a.moveAside(in.place)
}

// moveAside moves what is in the place of an export to where it is kept as it is.
func (a *Archive) moveAside(key string) error {
	final := a.Path(key)
	for at := time.Now().UTC(); ; at = at.Add(time.Second) {
		aside := filepath.Join(a.dir, damagedDir, filepath.FromSlash(key)+at.Format("@20060102T150405Z"))
		if _, err := os.Lstat(aside); err == nil {
			continue
		}
		err := a.step.Mkdirs(filepath.Dir(aside))
		if err == nil {
			err = a.step.Rename(final, aside)
		}
		if err == nil {
			err = a.step.SyncDir(filepath.Dir(aside))
		}
		if err == nil {
			err = a.step.SyncDir(filepath.Dir(final))
		}
		return err
	}
}

// compare fails with ErrNotRepaired, and drops what was received, unless that is what
// landed before, as far as it is known.
func (in *Ingest) compare(r *Receipt) error {
	f, why, objects := &in.former, "", 0
	for o, err := range in.objects.all() {
		if err != nil {
			return err
		}
		objects++
		why = cmp.Or(why, f.differs(o))
	}
	switch {
	case why != "":
	case f.objects != nil && objects != len(f.objects):
		why = fmt.Sprintf("it had %d objects, and %d were received", len(f.objects), objects)
	case f.files != nil && r.Files != len(f.files):
		why = fmt.Sprintf("the bag had %d files, and would have %d", len(f.files), r.Files)
	case f.files != nil || f.line == nil: // it is proven, or nothing is known
	case f.line.Bytes >= 0 && r.Bytes != f.line.Bytes:
		why = fmt.Sprintf("it had %d bytes of content, and %d were received", f.line.Bytes, r.Bytes)
	case f.line.Records >= 0 && r.Records != f.line.Records:
		why = fmt.Sprintf("it had %d records, and %d were received", f.line.Records, r.Records)
	}
	if why == "" {
		return nil
	}
	err := fmt.Errorf("%w: %s", ErrNotRepaired, why)
	if in.file != nil {
		err = errors.Join(err, in.removeExcept(lockFile, stateFile))
	}
	return err
}

// syncBags makes the bags durable and what is written down of the batch, or sets the
// error of those that are not. If it can't sync the file system, it syncs each file,
// which says whose bytes are lost.
func (a *Archive) syncBags(batch []*commitment) {
	if root := a.commits.whole(); root != nil && len(batch) >= minWholeSync {
		if a.step("syncfs", root.Name()) == nil && durable.SyncWhole(root) == nil {
			return
		}
	}
	var syncs errgroup.Group
	syncs.SetLimit(maxSyncs)
	var mu sync.Mutex // of the errors
	syncs.Go(func() error {
		err := a.run.syncBatch(a.step)
		mu.Lock()
		defer mu.Unlock()
		for _, c := range batch {
			c.err = errors.Join(c.err, err)
		}
		return nil
	})
	for _, c := range batch {
		failed := func(err error) error {
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				c.err = errors.Join(c.err, err)
			}
			return nil
		}
		for _, f := range c.files {
			syncs.Go(func() error { return failed(a.step.Sync(f)) })
		}
		_ = failed(filepath.WalkDir(c.bag, func(path string, e fs.DirEntry, err error) error {
			if err == nil && e.IsDir() {
				syncs.Go(func() error { return failed(a.step.SyncDir(path)) })
			}
			return err
		}))
	}
	_ = syncs.Wait()
}

// The files of a bag, as RFC 8493 names them, and our own.
const (
	bagDeclaration = "bagit.txt"
	bagInfo        = "bag-info.txt"
	manifest       = "manifest-sha256.txt"
	tagManifest    = "tagmanifest-sha256.txt"
	receiptFile    = "receipt.json"
	objectsFile    = "objects.jsonl"
	dataDir        = "data"
)

const declaration = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"

// tagFiles are the files that every bag has beside its content.
var tagFiles = []string{bagDeclaration, bagInfo, manifest, tagManifest, receiptFile}

// writeBag writes the tag files around the content of the export, and removes
// everything else. It returns them open, since they are not durable yet, and the
// SHA-256 of the tag manifest, in hex.
func (in *Ingest) writeBag(r *Receipt) (files []*os.File, bag string, err error) {
	if _, err := in.openBag(); err != nil {
		return nil, "", err
	}
	if in.file != nil {
		if err := in.cleanBag(); err != nil {
			return nil, "", err
		}
	}
	receipt, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, "", err
	}
	var content []string // the lines of the manifest, ordered by the names of the files
	for o, err := range in.objects.all() {
		if err != nil {
			return nil, "", err
		}
		for _, f := range o.Files {
			content = append(content, fmt.Sprintf("%s  %s/%s\n", f.SHA256, dataDir, f.Path))
		}
	}
	slices.SortFunc(content, func(a, b string) int { return strings.Compare(a[2*sha256.Size:], b[2*sha256.Size:]) })
	info := fmt.Sprintf("Bag-Software-Agent: tallyman\nBagging-Date: %s\nExternal-Identifier: %s\nPayload-Oxum: %d.%d\n",
		r.Landed.Format(time.DateOnly), r.Reference, r.Bytes, r.Files)
	tags := map[string]io.WriterTo{
		bagDeclaration: strings.NewReader(declaration),
		bagInfo:        strings.NewReader(info),
		manifest:       strings.NewReader(strings.Join(content, "")),
		receiptFile:    bytes.NewReader(append(receipt, '\n')),
	}
	if len(r.Objects) == 0 {
		tags[objectsFile] = &in.objects
	}
	var sums bytes.Buffer // of the tag files, which the tag manifest lists
	names := append(slices.Sorted(maps.Keys(tags)), tagManifest)
	tags[tagManifest] = &sums
	for _, name := range names {
		sum := sha256.New()
		f, err := in.archive.step.Create(filepath.Join(in.bag, name), tags[name], sum)
		if err != nil {
			return files, "", err
		}
		files, bag = append(files, f), hex.EncodeToString(sum.Sum(nil))
		fmt.Fprintf(&sums, "%s  %s\n", bag, name)
	}
	return files, bag, nil
}
