package fetch

import (
	"context"
	"errors"
	"time"

	"tallyman/verify"
	"tallyman/verify/archive"
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

// Testify asks a witness about the window of an export that landed, in so many records
// without headers, and returns what it says, and how many calls that took. The most that it
// counted before is earlier, or verify.Unknown. That a window is not countable is a
// testimony, too.
func Testify(ctx context.Context, w Witness, window Window, landed, earlier int64) (t archive.Testimony, calls int, err error) {
	t = archive.Testimony{
		Window: *window.recorded(), At: time.Now(),
		Landed: landed, Counted: verify.Unknown, Including: verify.Unknown, Earlier: earlier,
	}
	if landed == verify.Unknown {
		return t, 0, nil
	}
	count, err := w.Count(ctx, window)
	if errors.Is(err, ErrNotCountable) {
		t.Why = err.Error()
		return t, 0, nil
	}
	if err != nil {
		return t, count.Calls, err
	}
	t.Counted, t.RequestID, calls = count.Records, count.RequestID, count.Calls
	if t.Counted == landed {
		return t, calls, nil
	}
	closed := window
	closed.To = closed.To.Add(time.Second)
	including, err := w.Count(ctx, closed)
	calls += including.Calls
	if err != nil {
		return t, calls, err
	}
	t.Including = including.Records
	if max(t.Including, t.Counted) >= landed {
		return t, calls, nil
	}
	countable, err := w.Countable(ctx, window)
	t.Since, t.Why, t.Gone = countable.Since, countable.Why, countable.Gone
	return t, calls, err
}
