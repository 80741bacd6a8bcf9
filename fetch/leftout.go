package fetch

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"syscall"

	"tallyman/fetch/redact"
	"tallyman/verify"
)

// A leftOut collects the objects under a prefix that can't land, so that they do
// not keep the others from landing. What a job promised together lands whole or
// not at all: of that, it takes nothing.
type leftOut struct {
	prefix bool // the export is the objects under a prefix

	mu     sync.Mutex
	errors map[string]error // by the name of the object
	landed bool             // an object that is not left out
}

const (
	// maxPasses is how often the objects under a prefix are gone through: those that
	// failed by what may pass are received again, as they are listed by then.
	maxPasses = 3
	// maxDoubts is how many objects are named that are left out.
	maxDoubts = 100
)

// objectFaults are the errors that say something of one object alone. finalFaults
// are those that the same bytes would have again.
var (
	finalFaults  = []error{ErrCorrupt, ErrUnsafeName, ErrBomb, ErrEncrypted, verify.ErrUnproven, syscall.ENAMETOOLONG}
	objectFaults = append([]error{ErrChanged, ErrNotFound, ErrAuth, ErrRefused}, finalFaults...)
)

func isAnyOf(err error, faults []error) bool {
	return slices.ContainsFunc(faults, func(fault error) bool { return errors.Is(err, fault) })
}

// take takes the outcome of one object, and returns its error unless the object
// is left out. An error without the name of an object is returned.
func (l *leftOut) take(name string, err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, mismatch := errors.AsType[*verify.Mismatch](err)
	switch {
	case err == nil:
		l.landed = true
	case l.prefix && name != "" && !retryable(err) && (mismatch || isAnyOf(err, objectFaults)):
		l.errors[name] = err
		return nil
	}
	return err
}

// first returns the error of the first object by name, or nil if none is left
// out.
func (l *leftOut) first() error {
	if len(l.errors) == 0 {
		return nil
	}
	return l.errors[slices.Min(slices.Collect(maps.Keys(l.errors)))]
}

// doubts says which objects are left out, and why.
func (l *leftOut) doubts() (doubts []string) {
	for _, name := range slices.Sorted(maps.Keys(l.errors)) {
		if len(doubts) == maxDoubts {
			return append(doubts, fmt.Sprintf("incomplete: %d objects in all are left out", len(l.errors)))
		}
		doubts = append(doubts, fmt.Sprintf("incomplete: %q is left out: %s", name, redact.Text(l.errors[name].Error())))
	}
	return doubts
}
