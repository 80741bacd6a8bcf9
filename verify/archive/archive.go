package archive

import (
	"crypto/hmac"
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

	dir   string
	id    string
	disk  disk
	fresh bool // Made where nothing was, and no line of the ledger says so yet; under commits.turn

	indexEvery int64                              // 0 means defaultIndexEvery
	measure    func(dir string) (diskSpace, bool) // false if the system can't say
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
	a := &Archive{dir: filepath.Clean(dir), measure: measureDisk}
	a.disk.step = func(string, string) error { return nil }
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
	a.commits.whole = sync.OnceValue(func() *os.File { return openWhole(a.dir) })
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
	a.id, a.ledger = i.ID, ledger.Open(filepath.Join(a.dir, ledgerDir), sha256.Sum256(text), a.disk.step)
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
	return a.disk.mkdirs(filepath.Join(a.dir, ingestDir))
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
