package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// An Ingest is an export being received, by the one attempt that may be. Its
// objects may be received by many goroutines at once.
type Ingest struct {
	archive *Archive
	key     string
	dir     string
	lock    *flock.Flock
	root    *os.Root // of bag/data: nothing is created outside it
	state   State
	objects ledger
}

// State is what state.json says of an export that has not landed.
type State struct {
	Schema    string    `json:"schema"`
	Reference string    `json:"reference"`
	Key       string    `json:"key"`
	FirstSeen time.Time `json:"first_seen"`
}

// Begin takes up an export: the reference as it may be shown, its key and its
// hash. It finds what earlier attempts received. It fails with ErrBusy while
// another attempt holds the export, and with ErrLanded once it is under its
// final name. The caller closes the Ingest.
func (a *Archive) Begin(ctx context.Context, reference, key, hash string) (*Ingest, error) {
	if !fs.ValidPath(key) || key == "." {
		return nil, fmt.Errorf("begin %s: no export can have the key %q", reference, key)
	}
	in := &Ingest{archive: a, key: key, dir: filepath.Join(a.dir, ingestDir, hash)}
	if err := in.begin(ctx, reference); err != nil {
		in.Close()
		return nil, fmt.Errorf("begin %s: %w", reference, err)
	}
	return in, nil
}

func (in *Ingest) begin(ctx context.Context, reference string) (err error) {
	if in.lock, err = in.archive.acquire(in.dir); err != nil {
		return err
	}
	landed, err := in.archive.landed(in.key)
	if err != nil {
		return err
	}
	if landed {
		return in.clear()
	}
	if err := in.archive.disk.mkdirs(in.path("parts")); err != nil {
		return err
	}
	if err := in.recall(reference); err != nil {
		return err
	}
	return in.openBag(ctx)
}

// clear ends the ingest of an export that has landed. The attempt that renamed
// it may have been cut short then and there.
func (in *Ingest) clear() error {
	if err := in.archive.settle(in.key); err != nil {
		return err
	}
	return errors.Join(ErrLanded, in.discard())
}

func (in *Ingest) path(elem ...string) string {
	return filepath.Join(append([]string{in.dir}, elem...)...)
}

// recall reads state.json, or writes it at the first attempt.
func (in *Ingest) recall(reference string) error {
	path := in.path("state.json")
	if err := readJSON(path, &in.state); err == nil && in.state.Key == in.key {
		return nil
	}
	in.state = State{"tallyman.state/v1", reference, in.key, time.Now().UTC().Truncate(time.Second)}
	return in.archive.disk.replace(path, in.state)
}

// openBag opens the content directory, with the files of the objects that are
// done and no others.
func (in *Ingest) openBag(ctx context.Context) error {
	data := in.path("bag", dataDir)
	if err := in.archive.disk.mkdirs(data); err != nil {
		return err
	}
	root, err := os.OpenRoot(data)
	if err != nil {
		return err
	}
	in.root = root
	if err := in.objects.load(ctx, in.path("objects.jsonl"), root); err != nil {
		return err
	}
	return in.sweep()
}

// sweep removes from the bag all but the files of the objects that are done:
// what attempts that were cut short left there.
func (in *Ingest) sweep() error {
	bag := in.path("bag")
	keep, err := in.objects.paths()
	if err != nil {
		return err
	}
	return fs.WalkDir(os.DirFS(bag), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || keep[name] {
			return err
		}
		err = in.archive.disk.removeAll(filepath.Join(bag, filepath.FromSlash(name)))
		if err == nil && e.IsDir() {
			return fs.SkipDir
		}
		return err
	})
}

// discard removes the ingest. The lock's file goes last: who waits for it
// sees that it is gone and begins anew.
func (in *Ingest) discard() error {
	entries, err := os.ReadDir(in.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != lockFile {
			err = errors.Join(err, in.archive.disk.removeAll(in.path(e.Name())))
		}
	}
	if err != nil {
		return err
	}
	if err := in.archive.disk.removeAll(in.path(lockFile)); err != nil {
		return err
	}
	return in.archive.disk.removeEmpty(in.dir)
}

// Close ends the attempt and frees the export for another. What was received
// is kept, unless the export was committed.
func (in *Ingest) Close() error {
	var err error
	if in.root != nil {
		err = in.root.Close()
	}
	if in.objects.file != nil {
		err = errors.Join(err, in.objects.file.Close())
	}
	if in.lock != nil {
		err = errors.Join(err, in.lock.Close())
	}
	return err
}
