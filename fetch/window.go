package fetch

import (
	"context"
	"encoding/json"
	"errors"
	"time"

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
	// Create has the job of a creation made. If there is a job of its name already, that is
	// the one, if it was made for the same: an ErrConflict says that it was not. An
	// ErrThrottled may be that of a quota of jobs, which passes when others end.
	Create(ctx context.Context, c Creation) (Ref, error)
	// Delete removes a job from its service, and what it yielded. That there is none is an
	// ErrNotFound.
	Delete(ctx context.Context, ref Ref) error
}

// ErrConflict says that there is a job of that name, made for something else.
var ErrConflict = errors.New("there is another job of that name")

// A Creation is what a job is to be made for. Its name follows from all of it.
type Creation struct {
	Window
	Format      string // of the file, in the service's own word
	Compression string // likewise
	// Instead names what landed of the window and is to be exported once more, or is "".
	Instead string
	Attempt int // counts from 1: a job that failed keeps its name
}
