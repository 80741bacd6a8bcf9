package archive

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"tallyman/verify/archive/internal/durable"
	"tallyman/verify/archive/ledger"
)

// Errors that a caller may branch on.
var (
	ErrBusy    = errors.New("another attempt at this export is under way")
	ErrLanded  = errors.New("the export has landed")
	ErrDamaged = errors.New("the archive is damaged")
	ErrOtherID = errors.New("it is another archive")

	// ErrNotRepaired is of an export that was received in place of one that is damaged or
	// absent, and is not the same as far as that is known.
	ErrNotRepaired = errors.New("the source has another export than landed")
)

const (
	identityFile   = "archive.json"
	identitySchema = "tallyman.archive/v1"
	draftPrefix    = ".tallyman-" // of an archive that is being made
	ingestDir      = ".ingest"
	damagedDir     = ".damaged"
	partsDir       = "parts"
	bagDir         = "bag"
)

// An Archive is a directory of proven exports. Its methods may be called by
// many goroutines at once, and many processes may use one directory at once.
type Archive struct {
	// Made says that the call of Open which returned the Archive has made it. It does
	// not change.
	Made bool

	// WindowOf returns the window of an export whose receipt tells none, as those of
	// earlier versions don't, by its reference and by what its provider answered, which is
	// read from the receipt when it asks; or nil. It is set before the archive is used, and
	// not after. nil knows of none.
	WindowOf func(reference string, answer func() any) *ledger.Window

	dir   string
	id    string
	step  durable.Step // of each change that the archive makes to files, and of each read that proves something
	fresh bool         // Made where nothing was, and no line of the ledger says so yet; under commits.turn

	indexEvery int64                                  // 0 means defaultIndexEvery
	measure    func(dir string) (durable.Space, bool) // false if the system can't say
	reserved   reservations
	commits    commits
	run        run
	ledger     *ledger.Ledger

	adoptAtOnce int // 0 means defaultAdoptAtOnce
}

// Open opens the archive in dir. id is the ID that it must have, or "" for any: an
// archive with another one is ErrOtherID. If there is no archive, Open makes one,
// with that ID or a random one, unless the Site comes later than may: that is a
// *NoArchiveError, and so is SiteNowhere in any case. Processes that make one at
// the same time get the same archive.
func Open(dir, id string, may Site) (*Archive, error) {
	a := &Archive{dir: filepath.Clean(dir), measure: durable.MeasureSpace}
	a.step = func(string, string) error { return nil }
	if err := a.open(id, may); err != nil {
		return nil, fmt.Errorf("open archive: %w", err)
	}
	return a, nil
}

// OpenExisting opens the archive in dir. It fails with fs.ErrNotExist if there
// is none.
func OpenExisting(dir string) (*Archive, error) { return Open(dir, "", SiteArchive) }

type identity struct {
	Schema string `json:"schema"`
	ID     string `json:"id"`
}

func (a *Archive) open(id string, may Site) error {
	a.commits.whole = sync.OnceValue(func() *os.File { return durable.OpenWhole(a.dir) })
	path := filepath.Join(a.dir, identityFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := a.makeWithin(id, may); err != nil {
			return err
		}
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return err
	}
	var i identity
	if err := json.Unmarshal(text, &i); err != nil || i.ID == "" {
		return fmt.Errorf("%w: read %s: no archive ID in it", ErrDamaged, path)
	}
	a.id, a.ledger = i.ID, ledger.Open(filepath.Join(a.dir, ledgerDir), sha256.Sum256(text), a.step)
	if a.Made && !a.fresh {
		if err := a.adoptLedger(); err != nil {
			return err
		}
	}
	switch {
	case id != "" && id != a.id:
		return fmt.Errorf("%w: %s has %s, and %s was asked for", ErrOtherID, a.dir, a.id, id)
	case may == SiteArchive:
		return nil // it may be on a disk that is read-only
	}
	return a.step.Mkdirs(filepath.Join(a.dir, ingestDir))
}

// ID is the archive's random name, the same for all processes that open it.
func (a *Archive) ID() string { return a.id }

// HashHidden returns 8 hex digits of a hash of a text that is stored nowhere, or ""
// for "". The hash is too short to find the text by it, and another one in every
// archive.
func (a *Archive) HashHidden(hidden string) string {
	if hidden == "" {
		return ""
	}
	keyed := hmac.New(sha256.New, []byte(a.id))
	keyed.Write([]byte(hidden))
	return hex.EncodeToString(keyed.Sum(nil)[:4])
}

// Path is the directory where the export of that key is, or will be.
func (a *Archive) Path(key string) string { return filepath.Join(a.dir, filepath.FromSlash(key)) }

// ingestPath is the directory of an export that has not landed.
func (a *Archive) ingestPath(key string) string {
	return filepath.Join(a.dir, ingestDir, hashName(key))
}

// hashName turns a key, or the name of an object, into a short file name: 32 hex
// digits of its SHA-256.
func hashName(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}

// All yields the key of each export that landed, ordered by the segments of the
// keys. A directory with any of the tag files is an export, since a damaged one may
// have lost the others. All ends after the first error.
func (a *Archive) All() iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		err := fs.WalkDir(os.DirFS(a.dir), ".", func(key string, d fs.DirEntry, err error) error {
			switch {
			case err != nil || key == ".":
				return err
			case key == ingestDir || key == ledgerDir || key == damagedDir:
				return fs.SkipDir
			case !d.IsDir() || !isBag(a.Path(key)):
				return nil
			case !yield(key, nil):
				return fs.SkipAll
			}
			return fs.SkipDir
		})
		if err != nil {
			yield("", fmt.Errorf("list archive: %w", err))
		}
	}
}

// Bags yields the paths of the bags in dir, which may be a copy of an archive or a part
// of one, or the path of a bag itself. It ends after the first error.
func Bags(dir string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if isBag(dir) {
			yield(dir, nil)
			return
		}
		for key, err := range (&Archive{dir: dir}).All() {
			if !yield(filepath.Join(dir, key), err) {
				return
			}
		}
	}
}

// isBag reports whether dir has any of the tag files.
func isBag(dir string) bool {
	return slices.ContainsFunc(tagFiles, func(name string) bool {
		info, err := os.Lstat(filepath.Join(dir, name))
		return err == nil && info.Mode().IsRegular() // a directory of that name is a segment of a key
	})
}

// Revisions returns the keys of the bags that an export has beside its own: KEY@ and
// what sets one apart, in their order. The export itself need not have landed.
func (a *Archive) Revisions(key string) (revisions []string, err error) {
	entries, err := os.ReadDir(filepath.Dir(a.Path(key)))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list the revisions of %s: %w", key, err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), path.Base(key)+"@") {
			revisions = append(revisions, path.Join(path.Dir(key), e.Name()))
		}
	}
	return revisions, nil
}

// Replaced returns how many bags lie in the archive that were damaged and replaced.
func (a *Archive) Replaced() (n int, err error) {
	err = fs.WalkDir(os.DirFS(a.dir), damagedDir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !strings.Contains(d.Name(), "@") { // it is a segment of a key
			return err
		}
		if n++; d.IsDir() {
			return fs.SkipDir
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return n, nil
	}
	return n, err
}

// landed reports whether an export is under its final name. A key that is too
// long for the file system is ErrName, not a failure of the disk.
func (a *Archive) landed(key string) (bool, error) {
	_, err := os.Lstat(a.Path(key))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case errors.Is(err, syscall.ENAMETOOLONG):
		return false, fmt.Errorf("%w: %s", ErrName, err.Error())
	}
	return err == nil, err
}

// A Site is what there is where an archive is looked for. They are ordered: the later
// a Site comes, the more likely it is a mistake to make an archive there.
type Site int

// The Sites.
const (
	SiteArchive  Site = iota // an archive, so none is made
	SiteAbsent               // no directory, in a directory that is there
	SiteBegun                // a directory with an ingest area and no archive yet
	SiteEmpty                // an empty directory: the disk that belongs there may not be mounted
	SiteRemote               // no directory, nor the one that it would be in
	SiteOccupied             // a directory with something else in it
	SiteExports              // a directory with exports, whose archive.json is lost
	SiteNowhere              // a symbolic link to nothing
)

// String says what there is, after the name of the directory.
func (s Site) String() string {
	return [...]string{
		SiteArchive:  "is an archive",
		SiteAbsent:   "does not exist",
		SiteBegun:    "has the beginning of an archive, but no " + identityFile,
		SiteEmpty:    "is an empty directory",
		SiteRemote:   "does not exist, nor does the directory that it would be in",
		SiteOccupied: "is not an archive: it has files, but no " + identityFile,
		SiteExports:  "has exports, but its " + identityFile + " is lost",
		SiteNowhere:  "is a symbolic link to nothing",
	}[s]
}

// A NoArchiveError says that there is no archive, and that none was made. It is
// fs.ErrNotExist.
type NoArchiveError struct {
	Dir  string
	ID   string // that was asked for, or ""
	Site Site
}

// Error implements error.
func (e *NoArchiveError) Error() string { return fmt.Sprintf("there is none: %s %s", e.Dir, e.Site) }

// Is implements the interface of errors.Is.
func (e *NoArchiveError) Is(target error) bool { return target == fs.ErrNotExist }

// inspect returns what there is in the place of dir.
func inspect(dir string) (Site, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if info, err := os.Lstat(dir); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return SiteNowhere, nil
		}
		if _, err = os.Stat(filepath.Dir(dir)); errors.Is(err, fs.ErrNotExist) {
			return SiteRemote, nil
		}
		return SiteAbsent, err
	}
	if err != nil {
		return 0, err
	}
	is := func(name string) func(fs.DirEntry) bool {
		return func(e fs.DirEntry) bool { return e.Name() == name }
	}
	entries = slices.DeleteFunc(entries, is("lost+found")) // which a new file system has
	switch {
	case slices.ContainsFunc(entries, is(identityFile)): // another process has made it
		return SiteArchive, nil
	case len(entries) == 0:
		return SiteEmpty, nil
	case len(entries) == 1 && entries[0].Name() == ingestDir && entries[0].IsDir():
		return SiteBegun, nil
	case holdsBag(dir):
		return SiteExports, nil
	}
	return SiteOccupied, nil
}

// maxInspected is after how many files the search for a bag is given up: the
// directory may be anybody's, with millions of them. An archive has no more before
// its first bag.
const maxInspected = 10_000

// holdsBag reports whether there is a bag in dir.
func holdsBag(dir string) (found bool) {
	seen := 0
	_ = fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		seen++
		found = err == nil && d.Type().IsRegular() && slices.Contains(tagFiles, d.Name())
		switch {
		case found || seen == maxInspected:
			return fs.SkipAll
		case path == ingestDir || path == damagedDir:
			return fs.SkipDir
		}
		return nil // even if a directory can't be read
	})
	return found
}

// makeWithin makes an archive where the Site comes no later than may, unless another
// process is first: it is built beside its place and renamed into that, or built in the
// directory that is there.
func (a *Archive) makeWithin(id string, may Site) error {
	site, err := inspect(a.dir)
	switch {
	case err != nil:
		return err
	case site == SiteArchive:
		return nil
	case site > may:
		return &NoArchiveError{a.dir, id, site}
	}
	if id == "" {
		random := make([]byte, 16)
		rand.Read(random)
		id = hex.EncodeToString(random)
	}
	draft, named := a.dir, a.dir // named is the directory that gets a name
	beside := site == SiteAbsent || site == SiteRemote
	if beside {
		named = filepath.Dir(a.dir)
		draft = filepath.Join(named, draftPrefix+rand.Text())
		defer a.step.RemoveAll(draft)
	}
	if err = a.makeIn(draft, identity{identitySchema, id}); err == nil && beside {
		err = a.step.Rename(draft, a.dir) // which fails if a directory is there
	}
	a.Made = err == nil
	a.fresh = a.Made && site < SiteOccupied
	switch {
	case a.Made || errors.Is(err, fs.ErrExist):
		err = a.step.SyncDir(named)
	case !beside:
		_ = os.Remove(filepath.Join(a.dir, ingestDir)) // which fails if anything is in it
	}
	if err != nil {
		return fmt.Errorf("make %s: %w", a.dir, err)
	}
	return nil
}

// makeIn makes what an archive begins with. It fails if the file system has no hard
// links, as each export needs them.
func (a *Archive) makeIn(dir string, i identity) error {
	draft := filepath.Join(dir, ingestDir, rand.Text()+".json")
	if err := a.step.Mkdirs(filepath.Dir(draft)); err != nil {
		return err
	}
	err := a.step.WriteJSON(draft, i)
	isDraft := func(e fs.DirEntry) bool { return e.Name() == filepath.Base(draft) }
	if entries, listErr := os.ReadDir(filepath.Dir(draft)); err == nil && listErr == nil && !slices.ContainsFunc(entries, isDraft) {
		err = fmt.Errorf("%w that keeps the letters of a name: it has no %s now, which was made there", ErrFileSystem, draft)
	}
	if err == nil {
		err = a.step.Link(draft, filepath.Join(dir, identityFile))
	}
	return errors.Join(err, a.step.RemoveAll(draft), a.step.SyncDir(dir))
}
