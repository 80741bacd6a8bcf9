// Package archive is the only door to the disk. What it shows under a final
// name is whole and proven; all else stays in the ingest area, invisible.
//
// An archive is a directory on one file system:
//
//	archive.json                    a random ID
//	sls/cn-hangzhou/project/job/    an export that landed: a BagIt bag (RFC 8493)
//	    bagit.txt bag-info.txt manifest-sha256.txt tagmanifest-sha256.txt
//	    receipt.json                what was promised, and whether it held
//	    objects.jsonl               its objects, where they are many
//	    data/...                    the content, decoded
//	.ingest/HASH/                   an export being received
//	    lock                        held by the one attempt there may be
//	    state.json                  which export this is, and where it stands
//	    first.json                  beside the first state.json, until that is durable
//	    counts.json                 what changes too often to be made durable
//	    parts/                      objects being received, and maps of what is here
//	    objects.jsonl               objects that were received, proven and decoded
//	    bag/                        the bag that will be
//
// # Commit
//
// The bytes of an object reach a content file only through a [verify.Wire],
// and [Ingest.Commit] takes no verdict from its caller: it asks the wires. Then
// files are made durable, the directory bag/ gets its final name by one
// rename, and the rename is made durable. A crash before the rename leaves the
// export absent, a crash after it leaves it whole, and who finds it so makes the
// rename durable before saying that it landed.
//
// # Resume
//
// The map beside a partial lists the bytes received, some at a time, and the
// CRC64 of each. The map may outlive the data that it speaks of (after a power
// cut, say), so all of it is hashed again before it is believed.
package archive

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// Errors that a caller may branch on.
var (
	ErrBusy    = errors.New("another attempt at this export is under way")
	ErrLanded  = errors.New("the export has landed")
	ErrDamaged = errors.New("the archive is damaged")
)

const (
	ingestDir = ".ingest"
	partsDir  = "parts"
)

// An Archive is a directory of proven exports. Its methods may be called by
// many goroutines, and many processes may open one directory at once.
type Archive struct {
	dir  string
	id   string
	disk disk

	stride  int64                // 0 means stride
	measure func() (space, bool) // nil asks the system
	room    room
}

// Open opens the archive in dir and makes one if there is none.
func Open(dir string) (*Archive, error) {
	a := &Archive{dir: filepath.Clean(dir)}
	if err := a.open(); err != nil {
		return nil, fmt.Errorf("open archive: %w", err)
	}
	return a, nil
}

func (a *Archive) open() (err error) {
	if err := a.disk.mkdirs(filepath.Join(a.dir, ingestDir)); err != nil {
		return err
	}
	a.id, err = a.identify()
	return err
}

// OpenExisting opens the archive in dir, and fails with fs.ErrNotExist if there
// is none.
func OpenExisting(dir string) (*Archive, error) {
	dir = filepath.Clean(dir)
	id, err := readID(filepath.Join(dir, "archive.json"))
	if err != nil {
		return nil, fmt.Errorf("open archive: %w", err)
	}
	return &Archive{dir: dir, id: id}, nil
}

// identify reads the archive's ID. The first to open an archive makes it up:
// of many at once, the one whose link comes first.
func (a *Archive) identify() (string, error) {
	path := filepath.Join(a.dir, "archive.json")
	if id, err := readID(path); !errors.Is(err, fs.ErrNotExist) {
		return id, err
	}
	draft := filepath.Join(a.dir, ingestDir, rand.Text()+".json")
	defer a.disk.removeAll(draft)
	id := make([]byte, 16)
	rand.Read(id)
	if err := a.disk.writeJSON(draft, identity{"tallyman.archive/v1", hex.EncodeToString(id)}); err != nil {
		return "", err
	}
	if err := a.disk.link(draft, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	if err := a.disk.syncDir(a.dir); err != nil {
		return "", err
	}
	return readID(path)
}

type identity struct {
	Schema string `json:"schema"`
	ID     string `json:"id"`
}

func readID(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	var i identity
	if err := json.Unmarshal(b, &i); err != nil || i.ID == "" {
		return "", fmt.Errorf("%w: read %s: no archive ID in it", ErrDamaged, path)
	}
	return i.ID, nil
}

// ID is the archive's random name, the same for all who open it.
func (a *Archive) ID() string { return a.id }

// Path is where the export of that key is, or will be.
func (a *Archive) Path(key string) string { return filepath.Join(a.dir, filepath.FromSlash(key)) }

// All yields the key of each export that landed, whole or damaged, ordered by
// the segments of the keys. An error ends it.
func (a *Archive) All() iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		err := fs.WalkDir(os.DirFS(a.dir), ".", func(key string, d fs.DirEntry, err error) error {
			switch {
			case err != nil || key == ".":
				return err
			case key == ingestDir:
				return fs.SkipDir
			case !d.IsDir() || !a.isBag(key):
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

// isBag knows a bag by any of its tag files: one that has lost some of them is
// damaged, and is not to be overlooked. A key may have a segment of that name,
// which is a directory.
func (a *Archive) isBag(key string) bool {
	return slices.ContainsFunc(tagFiles, func(name string) bool {
		info, err := os.Lstat(filepath.Join(a.Path(key), name))
		return err == nil && info.Mode().IsRegular()
	})
}

// landed reports whether an export is under its final name.
func (a *Archive) landed(key string) (bool, error) {
	_, err := os.Lstat(a.Path(key))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case errors.Is(err, syscall.ENAMETOOLONG):
		return false, tooLong(err)
	}
	return err == nil, err
}
