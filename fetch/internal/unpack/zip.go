package unpack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// Zip unpacks the zip that r holds in size bytes, and returns how many files
// it made. All headers are checked before anything is inflated; then up to
// workers goroutines, at least one, inflate an entry each. The first error
// ends them, and none is left when Zip returns. What was created until then
// is for the caller to throw away.
//
// An error of create or of a file that it made comes back as it is; one of r,
// and the cause that ended ctx, may be wrapped. Any other is ErrUnsafeName,
// ErrBomb, ErrEncrypted or ErrCorrupt, and never two of these at once.
func Zip(ctx context.Context, r io.ReaderAt, size int64, workers int, limits Limits, create Create) (files int, err error) {
	limits = limits.orDefault()
	whole := io.NewSectionReader(contextReaderAt{ctx, r}, 0, size)
	at, err := findDirectory(whole, size, limits)
	if err != nil {
		return 0, err
	}
	entries, err := readDirectory(whole, at, limits)
	if err != nil {
		return 0, err
	}
	if err := place(whole, entries, at.offset); err != nil {
		return 0, err
	}
	if limits.Room != nil {
		if err := limits.Room(decodedBytes(entries)); err != nil {
			return 0, err
		}
	}
	return inflate(ctx, r, entries, workers, create)
}

// decodedBytes is what the entries declare. Their sum was held to a limit.
func decodedBytes(entries []entry) (n int64) {
	for i := range entries {
		n += entries[i].decoded
	}
	return n
}

type contextReaderAt struct {
	ctx context.Context
	io.ReaderAt
}

func (r contextReaderAt) ReadAt(p []byte, off int64) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.ReaderAt.ReadAt(p, off)
}

// inflate inflates all entries and returns how many files they made.
func inflate(ctx context.Context, r io.ReaderAt, entries []entry, workers int, create Create) (int, error) {
	group, ctx := errgroup.WithContext(ctx)
	var next, files atomic.Int64
	for range min(max(workers, 1), len(entries)) {
		group.Go(func() (err error) {
			defer carried(&err)
			f := newInflater(ctx, r, create)
			defer f.close()
			for i := next.Add(1) - 1; i < int64(len(entries)); i = next.Add(1) - 1 {
				if err := f.inflate(&entries[i]); err != nil {
					return err
				}
			}
			files.Add(f.files)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		arrive(err)
		return 0, err
	}
	return int(files.Load()), nil
}

// A panicked is a panic on its way to the goroutine of the caller, who may
// recover it there: in another it would end the process.
type panicked struct{ value any }

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

func carried(err *error) {
	if x := recover(); x != nil {
		*err = &panicked{x}
	}
}

func arrive(err error) {
	if p, ok := errors.AsType[*panicked](err); ok {
		panic(p.value)
	}
}
