package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"tallyman/verify/archive/internal/durable"
)

// A Ledger is the ledger in a directory. Its methods may be called at once, from many
// goroutines and, for the same directory, from many processes.
type Ledger struct {
	dir     string
	genesis string
	step    durable.Step // is told of each change to files

	mu    sync.Mutex // guards queue and known
	queue []*appending
	known map[string]known // by key

	writer sync.Mutex // held by the goroutine that writes for all others
	end    place      // known from the append before, or zero
	frozen bool       // the lock could not be had in time, and not since
	room   room

	ahead atomic.Pointer[time.Time]
	index Index
}

// Open returns the ledger in a directory, whose first line follows from genesis. step
// is told of each change to files before it is made, and an error of it is the
// change's; nil does nothing. The directory is made by the first Append; its parent
// must be there.
func Open(dir string, genesis [sha256.Size]byte, step func(op, path string) error) *Ledger {
	if step == nil {
		step = func(string, string) error { return nil }
	}
	return &Ledger{dir: filepath.Clean(dir), genesis: hex.EncodeToString(genesis[:]), step: step}
}

const monthLayout = "2006-01.jsonl"

var (
	monthName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^\d{4}-(0[1-9]|1[0-2])\.jsonl$`) })
	sideName  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^side-([0-9a-f]{16})\.jsonl$`) })
	cutName   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^torn-([0-9a-f]{16})\.new$`) })
)

// A listing is the names of the files that count, in order.
type listing struct {
	months []string
	sides  []string // RANDOM of the side files
	cuts   []string // RANDOM of what was cut and may not have its line
}

func (l *Ledger) list() (listing, error) {
	var found listing
	entries, err := os.ReadDir(l.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return found, err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		if monthName().MatchString(e.Name()) {
			found.months = append(found.months, e.Name())
		} else if m := sideName().FindStringSubmatch(e.Name()); m != nil {
			found.sides = append(found.sides, m[1])
		} else if m := cutName().FindStringSubmatch(e.Name()); m != nil {
			found.cuts = append(found.cuts, m[1])
		}
	}
	return found, nil
}

func (l *Ledger) path(name string) string { return filepath.Join(l.dir, name) }

// AheadOfClock returns the time of the last line that a writer of this Ledger met and
// did not follow, because it was more than a day ahead of the clock. It is zero if
// there was none. Either the clock is behind or another's was ahead.
func (l *Ledger) AheadOfClock() time.Time {
	if at := l.ahead.Load(); at != nil {
		return *at
	}
	return time.Time{}
}
