package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"golang.org/x/sync/errgroup"

	"tallyman/fetch"
	"tallyman/verify/archive"
)

// A Filter chooses among the jobs of a place. Each of its fields is for all
// jobs where it is zero.
type Filter struct {
	Since, Until time.Time // when the job was made: not before, and before
	Match        string    // a glob of the job's name
}

// Includes reports whether a job is chosen. One that does not say when it was made
// is not passed over for that.
func (f Filter) Includes(job fetch.Listed) bool {
	switch {
	case job.Created.IsZero():
	case job.Created.Before(f.Since), !f.Until.IsZero() && !job.Created.Before(f.Until):
		return false
	}
	if f.Match == "" {
		return true
	}
	parts := job.Ref.Parts()
	matches, _ := path.Match(f.Match, parts[len(parts)-1]) // a bad glob matches nothing
	return matches
}

// longestList is the longest that a run over one place may take.
const discoverTimeout = 24 * time.Hour

// enqueuedAtOnce is how many jobs are looked up and enqueued at once, so that a
// Redis far away takes as many a second as one nearby.
const enqueueConcurrency = redisPool / 4

// discoverHandler handles the tasks of the schedule, until the worker is to stop: to
// list a place once more costs nothing.
func (w *Worker) discoverHandler(until context.Context) asynq.Handler {
	return asynq.HandlerFunc(func(ctx context.Context, t *asynq.Task) error {
		ctx, stop := context.WithCancelCause(ctx)
		defer stop(nil)
		defer context.AfterFunc(until, func() { stop(errWorkerStopped) })()
		s, err := w.newDiscoverRun(t)
		if err != nil {
			return w.quarantine(err)
		}
		return s.finish(ctx, s.run(ctx))
	})
}

// A survey is one run over a place.
type discoverRun struct {
	w      *Worker
	task   discoverTask
	place  fetch.Ref
	lister fetch.Lister
	filter Filter

	listed   int
	enqueued atomic.Int64
}

// newDiscoverRun reads a task of the schedule.
func (w *Worker) newDiscoverRun(t *asynq.Task) (*discoverRun, error) {
	task, place, err := readDiscoverTask(t)
	if err != nil {
		return nil, err
	}
	lister := w.Listers[place.Scheme()]
	if lister == nil {
		return nil, fmt.Errorf("%w: nobody here lists %s places", errBadTask, place.Scheme())
	}
	since, err := w.parseSince(task.Since)
	if err != nil {
		return nil, fmt.Errorf("%w: since: %w", errBadTask, err)
	}
	return &discoverRun{w: w, task: task, place: place, lister: lister, filter: Filter{Since: since, Match: task.Match}}, nil
}

func (w *Worker) parseSince(text string) (time.Time, error) {
	switch {
	case text == "":
		return time.Time{}, nil
	case w.ParseSince == nil:
		return time.Time{}, errors.ErrUnsupported
	}
	return w.ParseSince(text)
}

// run lists the place and enqueues what is new. What was enqueued before it
// fails stays so.
func (s *discoverRun) run(ctx context.Context) error {
	group, until := errgroup.WithContext(ctx)
	group.SetLimit(enqueueConcurrency)
	err := s.list(until, func(ref fetch.Ref) { group.Go(func() error { return s.enqueue(until, ref) }) })
	return cmp.Or(group.Wait(), err, context.Cause(ctx))
}

// list calls each for the jobs that are wanted, as they come. A panic is the
// listing's failure.
func (s *discoverRun) list(ctx context.Context, each func(fetch.Ref)) (err error) {
	defer func() {
		if x := recover(); x != nil {
			err = fmt.Errorf("%w: %v", errPanicked, x)
			s.w.warn("a listing panicked", "place", s.place.String(), "panic", safeText(err), "stack", string(debug.Stack()))
		}
	}()
	for job, err := range s.lister.List(ctx, s.place, s.filter.Since) {
		if err != nil {
			return err
		}
		s.listed++
		if s.filter.Includes(job) {
			each(job.Ref)
		}
	}
	return nil
}

// enqueue enqueues an export if it is new.
func (s *discoverRun) enqueue(ctx context.Context, ref fetch.Ref) error {
	open, err := s.w.isNew(ref)
	if err != nil || !open {
		return err
	}
	news, err := s.w.Queue.Enqueue(ctx, ref, Options{Wait: s.task.Wait})
	if news {
		s.enqueued.Add(1)
	}
	return err
}

// isNew reports whether an export has neither landed, whole or not, nor failed,
// nor was cancelled.
func (w *Worker) isNew(ref fetch.Ref) (bool, error) {
	_, err := w.Archive.Receipt(ref.Key())
	switch {
	case err == nil, errors.Is(err, archive.ErrDamaged):
		return false, nil
	case !errors.Is(err, fs.ErrNotExist):
		return false, err
	}
	state, _, err := w.Archive.State(ref.Key())
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return state.Phase != archive.Failed && state.Phase != archive.Cancelled, err
}

// finish tells how a run went, and the queue what is to follow. A run that was
// cut short, as the worker stops or has lost its lease, begins anew; one that
// failed by what may pass is tried again until it does; any other waits until
// it is due.
func (s *discoverRun) finish(ctx context.Context, err error) error {
	switch {
	case err == nil:
		s.log(slog.LevelInfo, "listed")
		return nil
	case ctx.Err() != nil:
		return snooze(0, err)
	}
	outcome := Classify(err)
	failed := []any{"cause", string(outcome.Cause), "error", safeText(err), "hint", outcome.Hint}
	if outcome.Budget == once || errors.Is(err, errPanicked) {
		s.log(slog.LevelWarn, "not listed", failed...)
		return nil
	}
	n, _ := asynq.GetRetryCount(ctx)
	level := slog.LevelWarn
	if n > 0 {
		level = slog.LevelDebug // it has been said
	}
	pause := max(min(outcome.patience(n+1, 0), maxPollInterval), fetch.RetryAfter(err))
	s.log(level, "not listed yet", append(failed, "next", pause.Round(time.Second).String())...)
	return &snoozeError{delay: pause, message: safeText(err), countsAsFailure: true}
}

func (s *discoverRun) log(level slog.Level, text string, more ...any) {
	s.w.logAt(level, text, append([]any{"place", s.place.String(), "listed", s.listed, "enqueued", s.enqueued.Load()}, more...)...)
}
