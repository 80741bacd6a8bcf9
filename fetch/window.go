package fetch

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"tallyman/verify"
	"tallyman/verify/archive"
	"tallyman/verify/archive/ledger"
)

// A Window is the time that an export spans.
type Window struct {
	Place    Ref       `json:"-"` // that has the export, or zero if its scheme has no places
	Group    string    // of the windows that can be compared with each other, such as those of one log store and query
	From, To time.Time // in whole seconds; To is the first second that is not in it
}

// recorded is the window as receipts and the ledger have it. It may be nil.
func (w *Window) recorded() *ledger.Window {
	if w == nil {
		return nil
	}
	return &ledger.Window{Group: w.Group, From: w.From.Unix(), To: w.To.Unix()}
}

// WindowOf returns the window of an export that landed, by its reference or by what its
// provider answered, which it asks for only where that may tell; or nil. It is for
// [archive.Archive.WindowOf].
func WindowOf(reference string, answer func() any) *ledger.Window {
	ref, err := ParseRef(reference)
	if err != nil {
		return nil
	}
	window := ref.Window()
	if window == nil && ref.scheme.Window != nil {
		if b, err := json.Marshal(answer()); err == nil {
			window = ref.scheme.Window(ref, b)
		}
	}
	return window.recorded()
}

// A Creator is a Provider whose service makes export jobs when asked to. Its methods may be
// called by many goroutines at once, and their errors are those of Export.
type Creator interface {
	// NewJob returns the reference that Create gives the job of a creation. It asks nobody.
	NewJob(c Creation) (Ref, error)
	// Create has the job of a creation made, and reports whether the creation's Maker has
	// made it, by this call or before. If there is a job of its name already, that is the
	// one, if it was made for the same: an ErrConflict says that it was not. An
	// ErrThrottled may be that of a quota of jobs, which passes when others end.
	Create(ctx context.Context, c Creation) (job Ref, isOwn bool, err error)
	// Delete removes a job from its service, and what it yielded. That there is none is an
	// ErrNotFound.
	Delete(ctx context.Context, ref Ref) error
}

// ErrConflict says that there is a job of that name, made for something else.
var ErrConflict = errors.New("there is another job of that name")

// A Creation is what a job is to be made for. Its name follows from all of it but the Maker.
type Creation struct {
	Window
	Format      string // of the file, in the service's own word
	Compression string // likewise
	// Instead names what landed of the window and is to be exported once more, or is "".
	Instead string
	Attempt int // counts from 1: a job that failed keeps its name
	// Maker is written down with the job, such as the ID of an archive. Others may make the
	// same job: whose it is tells the job itself, since who makes one may be killed before
	// it has noted that it did.
	Maker string
}

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
