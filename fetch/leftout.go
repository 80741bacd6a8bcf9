package fetch

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"syscall"
	"time"

	"tallyman/verify"
)

// A leftOut collects the objects under a prefix that can't land, so that they do
// not keep the others from landing. What a job promised together lands whole or
// not at all: of that, it takes nothing.
type leftOut struct {
	prefix bool // the export is the objects under a prefix

	mu     sync.Mutex
	errors map[string]error // by the name of the object
	served Source           // of the last object that was received, or nil
}

const (
	// maxPasses is how often the objects under a prefix are gone through: those that
	// failed by what may pass are received again, as they are listed by then.
	maxPasses = 3
	// maxUnserved is how many objects a store may fail to serve before the fault is
	// its own, and not theirs.
	maxUnserved = 16
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
// is left out. An error without the name of an object is returned, and so is that of
// a store which fails to serve many objects.
func (l *leftOut) take(object target, err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, mismatch := errors.AsType[*verify.Mismatch](err)
	switch {
	case err == nil:
		l.served = object.Source
	case l.prefix && object.Name != "" && (isUnserved(err) && len(l.unserved()) < maxUnserved || !retryable(err) && (mismatch || isAnyOf(err, objectFaults))):
		l.errors[object.Name] = err
		return nil
	}
	return err
}

// isUnserved reports whether a store answered that it can't serve a request. It may
// be that it never can serve that object.
func isUnserved(err error) bool {
	call, ok := errors.AsType[*CallError](err)
	return ok && call.Status >= 500 && errors.Is(err, ErrTemporary)
}

// unserved returns the names of the objects that the store did not serve, in order.
func (l *leftOut) unserved() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(l.errors)), func(name string) bool { return !isUnserved(l.errors[name]) })
}

// checkServed returns the error of an object that the store did not serve in any
// pass, unless the store serves another one even now: then the fault is the
// object's, and it stays left out.
func (a *attempt) checkServed(ctx context.Context, left *leftOut) error {
	names := left.unserved()
	if len(names) == 0 {
		return nil
	}
	ctx, stop := context.WithTimeout(ctx, cmp.Or(a.IdleTimeout, 30*time.Second))
	defer stop()
	answer, err := left.served.ReadRange(ctx, 0, 1, "")
	if err != nil {
		return left.errors[names[0]] // the store serves nothing now
	}
	answer.Close()
	return nil
}

// first returns the error of the first object by name, or nil if none is left
// out.
func (l *leftOut) first() error {
	if len(l.errors) == 0 {
		return nil
	}
	return l.errors[slices.Min(slices.Collect(maps.Keys(l.errors)))]
}
