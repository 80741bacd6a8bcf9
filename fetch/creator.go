package fetch

import (
	"context"
	"errors"
)

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
