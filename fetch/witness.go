package fetch

import (
	"context"
	"errors"
	"time"
)

// ErrNotCountable says that the service of a window can't count what a job of it
// exports, as of a query that does more than select.
var ErrNotCountable = errors.New("not countable")

// A Witness is a Provider whose service counts by itself what a window holds, apart from
// its export jobs. Its methods may be called by many goroutines at once. Their errors are
// those of Export, or wrap ErrNotCountable.
type Witness interface {
	// Count asks how many records a window holds now, again until the service has counted
	// them all, and then once more. Each call may cost money.
	Count(ctx context.Context, w Window) (Count, error)
	// Countable asks since when the service can count records of a window.
	Countable(ctx context.Context, w Window) (Countable, error)
}

// A Count is how many records a window holds, as its service counts them.
type Count struct {
	Records   int64
	Calls     int    // that it took
	RequestID string // of the last of them, or ""
	Endpoint  string // the host that was asked
}

// Countable says which records a service can count: it may have others, and not count
// them.
type Countable struct {
	Since     time.Time // records of before are gone or not counted; zero: all are counted
	Why       string    // what limits it, or ""
	Gone      bool      // records of before are gone, rather than not counted
	RequestID string
}
