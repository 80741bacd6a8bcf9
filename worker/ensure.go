package worker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"tallyman/fetch"
	"tallyman/verify/archive"
	"tallyman/verify/archive/ledger"
)

// maxEnsureAttempts is how many jobs are made for a window of which each fails.
const maxEnsureAttempts = 3

// An Ensurer has windows exported: it makes their jobs and fetches them. It may be used by
// many goroutines and processes at once, and be killed at any time: the name of a job follows
// from its window, so that whoever comes next finds the job that is there.
type Ensurer struct {
	Archive *archive.Archive
	Creator fetch.Creator
	// Fetch waits for a job and has its export landed, as Local.FetchUnlessDead does.
	Fetch func(ctx context.Context, ref fetch.Ref) (*archive.Receipt, error)
	// Patience is how long to wait before what passes is tried again: a quota of jobs, and
	// an export that another process has in hand. Note hears of it, unless nil.
	Patience time.Duration
	Note     func(ref fetch.Ref, text string)
}

// Ensure has the window of a creation exported. A job that failed, or whose result is gone,
// is followed by another, three in all. It returns the reference of the last job, and its
// receipt once that has landed.
func (e *Ensurer) Ensure(ctx context.Context, c fetch.Creation) (ref fetch.Ref, receipt *archive.Receipt, err error) {
	for c.Attempt = 1; ; c.Attempt++ {
		if ref, err = e.Creator.NewJob(c); err != nil {
			return ref, nil, err
		}
		// Another process may have landed it since it was missed, and removed its job.
		if receipt, err = e.Archive.Landed(ref.Key()); err == nil {
			return ref, receipt, nil
		}
		known, _, _ := e.Archive.State(ref.Key()) // what can't be read fails again when it is asked for
		if err = deadBefore(known); err == nil {
			if err = e.create(ctx, ref, c); err != nil {
				return ref, nil, err
			}
			if receipt, err = e.fetch(ctx, ref); !isDead(err) {
				return ref, receipt, err
			}
		}
		if receipt, notLanded := e.Archive.Landed(ref.Key()); notLanded == nil {
			return ref, receipt, nil
		}
		if c.Attempt == maxEnsureAttempts {
			return ref, nil, fmt.Errorf("%d jobs were made for this window, and the last: %w", c.Attempt, err)
		}
		e.note(ref, "another job is made for this window: "+err.Error())
	}
}

// deadBefore is why a job was given up for good before, or nil. It is not asked for again: who
// is killed then would leave it waiting, though another job has landed in its place.
func deadBefore(known archive.State) error {
	if known.Phase == archive.Failed {
		if failure := failureOf(known); isDead(failure) {
			return failure
		}
	}
	return nil
}

// isDead reports whether a job will never yield anything: it failed or expired, or it or its
// file is gone. What may pass is not dead, since there must not be two living jobs.
func isDead(err error) bool {
	state := jobState(err)
	return state == fetch.Failed || state == fetch.Expired || errors.Is(err, fetch.ErrNotFound)
}

// lookPause is how far apart an Ensurer looks whether another has done with a job.
const lookPause = 50 * time.Millisecond

// alone does something with a job while no other Ensurer of the archive makes or deletes it.
func (e *Ensurer) alone(ctx context.Context, ref fetch.Ref, do func() error) error {
	for {
		end, err := e.Archive.Exclusive("job-" + ref.Key())
		if err == nil {
			defer end()
			return do()
		}
		if !errors.Is(err, archive.ErrBusy) {
			return err
		}
		if err := fetch.Sleep(ctx, lookPause); err != nil {
			return err
		}
	}
}

// create has the job made, and waits while the service has too many.
func (e *Ensurer) create(ctx context.Context, ref fetch.Ref, c fetch.Creation) error {
	c.Maker = e.Archive.ID()
	for {
		err := e.alone(ctx, ref, func() error { return e.createAlone(ctx, ref, c) })
		if !errors.Is(err, fetch.ErrThrottled) {
			return err
		}
		e.note(ref, "its job can't be made yet: "+err.Error())
		if err := fetch.Sleep(ctx, max(e.Patience, fetch.RetryAfter(err))); err != nil {
			return err
		}
	}
}

// createAlone has the job made, unless its export has landed meanwhile: then it may be deleted
// already. The ledger is told once of a job of our own: a process that was killed behind its
// call leaves that to the next, and a job that others made is theirs.
func (e *Ensurer) createAlone(ctx context.Context, ref fetch.Ref, c fetch.Creation) error {
	if _, err := e.Archive.Landed(ref.Key()); err == nil {
		return nil
	}
	_, isOwn, err := e.Creator.Create(ctx, c)
	if err != nil || !isOwn {
		return err
	}
	made, err := e.made(ref)
	if err != nil || made != nil {
		return err
	}
	return e.Archive.Ledger().Append(ledger.Line{
		Kind: ledger.Created, Ref: ref.String(), Key: ref.Key(),
		Window: &ledger.Window{Group: c.Group, From: c.From.Unix(), To: c.To.Unix()},
	})
}

// made is the line of the ledger of a job that an Ensurer of this archive made, or nil.
func (e *Ensurer) made(ref fetch.Ref) (*ledger.Line, error) {
	index, err := e.Archive.Ledger().Index()
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	return index.Made(ref.Key())
}

// fetch fetches a job's export, and waits while another process does.
func (e *Ensurer) fetch(ctx context.Context, ref fetch.Ref) (*archive.Receipt, error) {
	for {
		receipt, err := e.Fetch(ctx, ref)
		if !errors.Is(err, archive.ErrBusy) {
			return receipt, err
		}
		e.note(ref, "another process has it in hand")
		if err := fetch.Sleep(ctx, e.Patience); err != nil {
			return nil, err
		}
	}
}

// Delete removes a job from its service, if the ledger says that it was made by an Ensurer of
// this archive, and tells the ledger. It reports whether it did.
func (e *Ensurer) Delete(ctx context.Context, ref fetch.Ref) (deleted bool, err error) {
	err = e.alone(ctx, ref, func() error {
		made, err := e.made(ref)
		if made == nil || err != nil {
			return err
		}
		if err := e.Creator.Delete(ctx, ref); err != nil && !errors.Is(err, fetch.ErrNotFound) {
			return err
		}
		deleted = true
		return e.Archive.Ledger().Append(ledger.Line{Kind: ledger.Deleted, Ref: ref.String(), Key: ref.Key(), Window: made.Window})
	})
	return deleted, err
}

func (e *Ensurer) note(ref fetch.Ref, text string) {
	if e.Note != nil {
		e.Note(ref, text)
	}
}

// awaitPoll is how far apart Await looks whether an export has landed.
const awaitPoll = time.Second

// Await has the workers of the queue fetch an export, as their schedule does, and waits until
// it has landed or is given up. What was given up before, and not for good, is tried anew. It
// may be called while Run serves the queue. If ctx ends first, Await returns its cause, and
// the export stays in the queue.
func (w *Worker) Await(ctx context.Context, ref fetch.Ref) (*archive.Receipt, error) {
	state, _, err := w.Archive.State(ref.Key())
	if err == nil && state.Phase == archive.Failed && !isDead(failureOf(state)) {
		if err = (&run{w: w, ref: ref, refuse: deadBefore}).ask(time.Now()); err == nil && w.Queue != nil {
			_, err = w.Queue.Remove(ref.Hash()) // the task that failed, which is kept
		}
	}
	known := err == nil
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		_, err = (&discoverRun{w: w}).enqueue(ctx, ref, known)
	}
	for err == nil || errors.Is(err, archive.ErrBusy) || errors.Is(err, archive.ErrLanded) {
		receipt, err := w.Archive.Landed(ref.Key())
		if !errors.Is(err, fs.ErrNotExist) {
			return receipt, err
		}
		state, _, err := w.Archive.State(ref.Key())
		switch {
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return nil, err
		case err == nil && !isPending(state):
			return nil, failureOf(state)
		}
		if err := fetch.Sleep(ctx, awaitPoll); err != nil {
			return nil, err
		}
	}
	return nil, err
}

// failureOf is the error that an export was given up with, as far as it is known.
func failureOf(s archive.State) error {
	switch Cause(s.Cause) {
	case "job-failed":
		return &fetch.JobError{State: fetch.Failed, Message: s.Message}
	case "job-expired":
		return &fetch.JobError{State: fetch.Expired, Message: s.Message}
	case "not-found":
		return fmt.Errorf("%w: %s", fetch.ErrNotFound, s.Message)
	}
	return fmt.Errorf("it was given up by %s: %s", s.Cause, s.Message)
}
