package worker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"tallyman/fetch"
	"tallyman/verify/archive"
)

// errUnknownStatus ends the wait for a job whose provider keeps using a word
// that we don't know.
var errUnknownStatus = errors.New("the provider keeps using a status that is not known")

// unknownStatuses is how many unknown words in a row are too many.
const unknownStatuses = 10

// A Fetcher makes one attempt at an export.
type Fetcher interface {
	Fetch(ctx context.Context, ref fetch.Ref) (*archive.Receipt, error)
}

// OneShot waits for an export's job and makes as many attempts as it takes,
// within its budget. It may be used by many goroutines at once.
type OneShot struct {
	Fetcher  Fetcher
	Wait     time.Duration // for the job to become ready; 0 asks once
	Poll     time.Duration // between the first two questions; then half as long again each time
	Attempts int           // for each cause to fail; 0 means as many as the cause deserves

	// Note is told what a person should know while it goes on. It may be nil.
	Note func(ref fetch.Ref, note string)
}

// longestPoll is the interval that polling backs off to.
const longestPoll = time.Minute

// Fetch returns the receipt once the export has landed, and the last error
// once no attempt is left. A job that is not ready when the wait ends is a
// *fetch.NotReadyError.
func (o *OneShot) Fetch(ctx context.Context, ref fetch.Ref) (*archive.Receipt, error) {
	run := attempts{o: o, ref: ref, deadline: time.Now().Add(o.Wait), poll: o.Poll, failed: map[Cause]int{}}
	for {
		receipt, err := o.Fetcher.Fetch(ctx, ref)
		if err == nil {
			return receipt, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		pause, err := run.after(err)
		if err != nil {
			return nil, err
		}
		if err := fetch.Sleep(ctx, pause); err != nil {
			return nil, err
		}
	}
}

// attempts are those at one export. Each cause has a budget of its own, so
// that an end comes even if causes take turns.
type attempts struct {
	o        *OneShot
	ref      fetch.Ref
	deadline time.Time
	poll     time.Duration
	failed   map[Cause]int // since the job last answered that it is not ready
	unknown  int           // unknown status words in a row
	noted    string
}

// after tells how long to wait before the next attempt, or why there is none.
func (a *attempts) after(err error) (time.Duration, error) {
	if waiting, ok := errors.AsType[*fetch.NotReadyError](err); ok {
		return a.afterPoll(waiting)
	}
	outcome := Classify(err)
	budget := outcome.Attempts
	if a.o.Attempts > 0 && budget > once {
		budget = a.o.Attempts
	}
	a.failed[outcome.Cause]++
	failed := a.failed[outcome.Cause]
	if failed >= budget {
		return 0, err
	}
	pause := outcome.delay(failed, fetch.After(err))
	a.note(fmt.Sprintf("attempt %d of %d failed: %v; the next in %v", failed, budget, err, pause))
	return pause, nil
}

// afterPoll waits for a job that has not ended. When the deadline is nearer
// than the next poll, it is the last poll.
func (a *attempts) afterPoll(waiting *fetch.NotReadyError) (time.Duration, error) {
	clear(a.failed)
	if err := a.look(waiting); err != nil {
		return 0, err
	}
	left := time.Until(a.deadline)
	if left <= 0 {
		return 0, waiting
	}
	pause := min(jitter(a.poll), left)
	a.poll = min(a.poll*3/2, longestPoll)
	return pause, nil
}

// look notes where the job stands. Words that are not known are counted.
func (a *attempts) look(waiting *fetch.NotReadyError) error {
	if waiting.State != "" {
		a.unknown = 0
		a.note(waiting.Error())
		return nil
	}
	a.unknown++
	if a.unknown == unknownStatuses {
		return fmt.Errorf("%w: %q, %d times in a row", errUnknownStatus, waiting.Status, a.unknown)
	}
	a.note(fmt.Sprintf("the job has a status that is not known: %q (%d of %d in a row)", waiting.Status, a.unknown, unknownStatuses))
	return nil
}

// note tells what has not just been told.
func (a *attempts) note(text string) {
	if a.o.Note != nil && text != a.noted {
		a.o.Note(a.ref, text)
	}
	a.noted = text
}

// jitter spreads the polls of many jobs that began at once.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.9 + 0.2*rand.Float64()))
}
