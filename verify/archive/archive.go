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
//	    state.json                  which export this is
//	    parts/                      objects being received, and maps of their parts
//	    objects.jsonl               objects that were received, proven and decoded
//	    bag/                        the bag that will be
//
// # Commit
//
// The bytes of an object reach a content file only through a [verify.Wire],
// and [Ingest.Commit] takes no verdict from its caller: it asks the wires. Then
// files are made durable, the directory bag/ gets its final name by one
// rename, and the rename is made durable. A crash before the rename leaves the
// export absent, a crash after it leaves it whole.
//
// # Resume
//
// The map beside a partial lists the parts received and the CRC64 of each. The
// map may outlive the data that it speaks of (after a power cut, say), so each
// part is hashed again before it is believed.
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
)

// Errors that a caller may branch on.
var (
	ErrBusy    = errors.New("another attempt at this export is under way")
	ErrLanded  = errors.New("the export has landed")
	ErrDamaged = errors.New("the archive is damaged")
)

const ingestDir = ".ingest"

// An Archive is a directory of proven exports. Its methods may be called by
// many goroutines, and many processes may open one directory at once.
type Archive struct {
	dir  string
	id   string
	disk disk
}

// Open opens the archive in dir and makes one if there is none.
func Open(dir string) (*Archive, error) {
	a := &Archive{dir: dir}
	if err := a.disk.mkdirs(filepath.Join(dir, ingestDir)); err != nil {
		return nil, fmt.Errorf("open archive: %w", err)
	}
	id, err := a.identify()
	if err != nil {
		return nil, fmt.Errorf("open archive: %w", err)
	}
	a.id = id
	return a, nil
}

// OpenExisting opens the archive in dir, and fails with fs.ErrNotExist if there
// is none.
func OpenExisting(dir string) (*Archive, error) {
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
	defer os.Remove(draft)
	id := make([]byte, 16)
	rand.Read(id)
	if err := a.disk.writeJSON(draft, identity{"tallyman.archive/v1", hex.EncodeToString(id)}); err != nil {
		return "", err
	}
	if err := os.Link(draft, path); err != nil && !errors.Is(err, fs.ErrExist) {
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

// All yields the key of each export that landed, in lexical order.
func (a *Archive) All() iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		err := filepath.WalkDir(a.dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() || path == a.dir {
				return err
			}
			if d.Name() == ingestDir && filepath.Dir(path) == filepath.Clean(a.dir) {
				return fs.SkipDir
			}
			if _, err := os.Lstat(filepath.Join(path, bagDeclaration)); err != nil {
				return nil
			}
			key, err := filepath.Rel(a.dir, path)
			if err == nil && !yield(filepath.ToSlash(key), nil) {
				return fs.SkipAll
			}
			return fs.SkipDir
		})
		if err != nil {
			yield("", fmt.Errorf("list archive: %w", err))
		}
	}
}

// landed reports whether an export is under its final name.
func (a *Archive) landed(key string) (bool, error) {
	_, err := os.Lstat(a.Path(key))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
