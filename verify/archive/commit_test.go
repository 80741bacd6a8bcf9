package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tallyman/verify/archive/internal/powercut"
	"tallyman/verify/archive/ledger"
)

const batchSize = 8

func batchKey(i int) string { return fmt.Sprintf("%s-%d", testKey, i) }

func batchBody(i int) string { return rows(100 * (i + 1)) }

// begin receives the i-th export of a batch, to the point where it is committed.
func beginOf(a *Archive, i int) (*Ingest, error) {
	in, err := a.Begin(context.Background(), testRef, batchKey(i))
	if err != nil {
		return nil, err
	}
	in.Single = i != 0 // the first has an ingest directory
	if in.Done("a.csv", promise(batchBody(i))) {
		return in, nil
	}
	if err := receive(in, "a.csv", batchBody(i)); err != nil {
		return nil, errors.Join(err, in.Close())
	}
	return in, nil
}

// commitTogether commits the exports in one batch, and returns the error of each. It
// calls begins before the batch does.
func commitTogether(a *Archive, ingests []*Ingest, begins func()) []error {
	errs := make([]error, len(ingests))
	var all sync.WaitGroup
	a.commits.turn.Lock()
	for i, in := range ingests {
		all.Go(func() {
			_, err := in.Commit(Summary{Reference: testRef})
			errs[i] = errors.Join(err, in.Close())
		})
	}
	for waiting := 0; waiting < len(ingests); time.Sleep(time.Millisecond) {
		a.commits.mu.Lock()
		waiting = len(a.commits.waiting)
		a.commits.mu.Unlock()
	}
	begins()
	a.commits.turn.Unlock()
	all.Wait()
	return errs
}

// The power is cut at each step of a batch. What was not synced is lost, or some of it.
// Where each file is synced there are many more steps, of which some are tried.
func TestEachOfABatchIsWholeOrAbsentAfterAPowerCut(t *testing.T) {
	for name, stride := range map[string]int{"the whole file system is synced": 1, "each file is synced": 9} {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(3, 4))
			between := stride
			if testing.Short() {
				between = 5 * stride
			}
			for at, ended := 1, false; !ended; at += 1 + random.IntN(between) {
				dir := t.TempDir()
				c := &crash{at: math.MaxInt, disk: powercut.New(t, dir)}
				a, err := openWith(dir, c.step)
				if err != nil {
					t.Fatal(err)
				}
				a.commits.whole = func() *os.File { return nil } // on a file system that can't
				if stride == 1 {
					root, err := os.Open(dir)
					if err != nil {
						t.Fatal(err)
					}
					defer root.Close()
					a.commits.whole = func() *os.File { return root }
				}
				ingests := make([]*Ingest, batchSize)
				for i := range ingests {
					if ingests[i], err = beginOf(a, i); err != nil {
						t.Fatal(err)
					}
				}
				errs := commitTogether(a, ingests, func() {
					c.mu.Lock()
					defer c.mu.Unlock()
					c.seen, c.at = 0, at
				})
				ended = c.seen < at
				for cut := range 3 {
					after := filepath.Join(t.TempDir(), "after")
					c.disk.Cut(after, func() bool { return cut > 0 && random.IntN(2) == 0 })
					checkBatch(t, fmt.Sprintf("step %d, cut %d", at, cut), after, errs)
				}
			}
		})
	}
}

// checkBatch checks that each export of a batch is whole or absent, that those which
// were told to have landed are there, and that the others land with the next attempt.
func checkBatch(t *testing.T, where, dir string, errs []error) {
	t.Helper()
	a := mustOpen(t, dir)
	for i, committed := range errs {
		_, err := a.Landed(batchKey(i))
		switch {
		case errors.Is(err, fs.ErrNotExist) && committed != nil:
			in, err := beginOf(a, i)
			if err != nil {
				t.Fatalf("%s: the next attempt at %d: %v", where, i, err)
			}
			if _, err := in.Commit(Summary{Reference: testRef}); err != nil {
				t.Fatalf("%s: the next commit of %d: %v", where, i, err)
			}
			in.Close()
		case err != nil:
			t.Errorf("%s: %d, of which the commit gave %v: %v", where, i, committed, err)
		}
		if err := a.Recheck(t.Context(), batchKey(i), nil); err != nil {
			t.Errorf("%s: %v", where, err)
		}
		bag, err := hashTagManifest(a.Path(batchKey(i)))
		if line, _ := a.presence(batchKey(i)); err != nil || line == nil || line.Bag != bag || line.Kind != ledger.Landed {
			t.Errorf("%s: the ledger has %+v, and the bag is %s, %v", where, line, bag, err)
		}
	}
	for _, err := range a.ledger.All() {
		if err != nil {
			t.Errorf("%s: %v", where, err)
		}
	}
	next, err := a.Begin(t.Context(), testRef, testKey) // clears up behind processes that have ended
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	if err := next.Close(); err != nil {
		t.Errorf("%s: %v", where, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ingestDir, "*", "*")); len(left) > 0 {
		t.Errorf("%s: %v are left", where, left)
	}
}

// A file system that can't sync as a whole, or that has lost some bytes, is asked for
// each file.
func TestAnIOErrorFailsTheExportWhoseBytesItLost(t *testing.T) {
	for _, op := range []string{"sync", "syncdir", "rename"} {
		const bad = 3
		dir := t.TempDir()
		a, err := openWith(dir, func(step, path string) error {
			if step == "syncfs" || step == op && strings.Contains(path, hashName(batchKey(bad))) || step == op && strings.HasSuffix(path, batchKey(bad)) {
				return &fs.PathError{Op: step, Path: path, Err: syscall.EIO}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		ingests := make([]*Ingest, batchSize)
		for i := range ingests {
			in, err := beginOf(mustOpen(t, dir), i)
			if err != nil {
				t.Fatal(err)
			}
			if err := in.Close(); err != nil {
				t.Fatal(err)
			}
			if ingests[i], err = beginOf(a, i); err != nil {
				t.Fatal(err)
			}
		}
		errs := commitTogether(a, ingests, func() {})
		for i, err := range errs {
			if (i == bad) != errors.Is(err, syscall.EIO) {
				t.Errorf("%s: of %d: %v", op, i, err)
			}
		}
		checkBatch(t, op, dir, errs)
	}
}
