package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// An Ingest is an export being received, by the one attempt that may be. Its
// objects may be received by many goroutines at once.
type Ingest struct {
	hold
	root    *os.Root // of bag/data: nothing is created outside it
	state   State
	objects ledger
	taken   bool // objects are all that is of use in the bag

	asked   sync.Once
	longest int // bytes of a file name
}

// Begin takes up an export: the reference as it may be shown, and its key.
// It finds what earlier attempts received. It fails with ErrBusy while
// another attempt holds the export, and with ErrLanded once it is under its
// final name. The caller closes the Ingest.
func (a *Archive) Begin(ctx context.Context, reference, key string) (*Ingest, error) {
	in := &Ingest{}
	if err := in.begin(ctx, a, reference, key); err != nil {
		in.Close()
		return nil, fmt.Errorf("begin %s: %w", reference, err)
	}
	return in, nil
}

func (in *Ingest) begin(ctx context.Context, a *Archive, reference, key string) (err error) {
	if in.hold, in.state, err = a.take(reference, key); err != nil {
		return err
	}
	if err := a.disk.mkdirs(in.path(partsDir)); err != nil {
		return err
	}
	return in.openBag(ctx)
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
	if err := in.objects.load(ctx, in.archive.disk, in.path("objects.jsonl"), root); err != nil {
		return err
	}
	in.taken = true
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

// Close ends the attempt and frees the export for another. What was received
// is kept, unless the export was committed; what was decoded of objects that are
// not done is not.
func (in *Ingest) Close() error {
	var err error
	if in.taken {
		err = in.sweep()
	}
	if in.root != nil {
		err = errors.Join(err, in.root.Close())
	}
	if in.objects.file != nil {
		err = errors.Join(err, in.objects.file.Close())
	}
	return errors.Join(err, in.free())
}
