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
	"strings"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"golang.org/x/sync/errgroup"

	"tallyman/fetch"
	"tallyman/verify/archive"
)

// A Filter chooses among the jobs of a place. A field that is zero lets all jobs
// pass.
type Filter struct {
	Since, Until time.Time // when the job was made: not before Since, and before Until
	Match        string    // of the job's name, see Match
}

// Includes reports whether the filter lets a job pass. A job that does not tell
// when it was made passes Since and Until.
func (f Filter) Includes(job fetch.Listed) bool {
	if !job.Created.IsZero() && (job.Created.Before(f.Since) || !f.Until.IsZero() && !job.Created.Before(f.Until)) {
		return false
	}
	if f.Match == "" {
		return true
	}
	parts := job.Ref.Parts()
	return Match(f.Match, parts[len(parts)-1])
}

// Match reports whether a text matches a pattern. If that holds a wildcard of
// path.Match, it is for the text or for what is before one of its slashes, so that
// "sls://cn-*/team-a/" matches what is in each such project. Any other pattern is what
// the text begins with.
func Match(pattern, text string) bool {
	if !strings.ContainsAny(pattern, `*?[\`) {
		return strings.HasPrefix(text, pattern)
	}
	pattern = strings.TrimSuffix(pattern, "/")
	for i := range len(text) + 1 {
		if i < len(text) && text[i] != '/' {
			continue
		}
		if matches, _ := path.Match(pattern, text[:i]); matches { // a bad pattern matches nothing
			return true
		}
	}
	return false
}

// discoverHandler handles the tasks of the schedule until ctx ends: then a listing is
// cut short, since to list a place again costs nothing.
func (w *Worker) discoverHandler(ctx context.Context) asynq.Handler {
	return asynq.HandlerFunc(func(taskCtx context.Context, t *asynq.Task) error {
		taskCtx, stop := context.WithCancelCause(taskCtx)
		defer stop(nil)
		defer context.AfterFunc(ctx, func() { stop(errWorkerStopped) })()
		task, place, err := readDiscoverTask(t)
		var d *discoverRun
		if err == nil {
			d, err = w.newDiscoverRun(task, place)
		}
		if err != nil {
			return w.quarantineTask(err)
		}
		n, _ := asynq.GetRetryCount(taskCtx)
		return d.try(taskCtx, t.ResultWriter().TaskID(), n+1)
	})
}

// try lists the place, logs how that went, and returns a *snoozeError if it is to be
// tried again before it is due. A run that was cut short, since the worker stops or has
// lost its lease, begins again at once. One that failed in a way that may pass is tried
// again until it does not. Any other waits until it is due. n counts the tries since it
// was due.
func (d *discoverRun) try(ctx context.Context, id string, n int) error {
	w, err := d.w, d.run(ctx)
	log := w.Log.With("place", d.place.String(), "listed", d.listed, "enqueued", d.enqueued.Load())
	if err != nil && ctx.Err() != nil {
		return snooze(0, err)
	}
	d.record(err)
	known, _ := w.outages.LoadOrStore(d.place.String(), &Outage{What: d.place.String(), Tell: w.logListingOutage})
	outage := known.(*Outage)
	if err == nil {
		outage.Passed(id)
		log.Info("listed")
		return nil
	}
	outcome := Classify(err)
	failed := []any{"cause", string(outcome.Cause), "error", safeText(err)}
	if outcome.Budget == once || errors.Is(err, ErrPanicked) {
		outage.Passed(id)
		log.Warn("not listed", failed...)
		return nil
	}
	level := slog.LevelDebug
	if outage.Failed(id, err) == 0 { // it begins
		level = slog.LevelWarn
	}
	pause := max(min(outcome.delay(false, n), maxPollInterval), fetch.RetryAfter(err))
	log.Log(ctx, level, "not listed yet", append(failed, "next", pause.Round(time.Second).String())...)
	return &snoozeError{delay: pause, message: safeText(err), countsAsFailure: true}
}

// logListingOutage logs that a place could not be listed for another hour, and that it
// answers again. That an outage begins is logged with its run.
func (w *Worker) logListingOutage(e OutageEvent) {
	lasted := e.Lasted.Round(time.Second)
	switch {
	case e.Err == nil:
		w.Log.Warn("it is over: the place answers again", "place", e.What, "lasted", lasted)
	case lasted > 0:
		w.Log.Warn("still not listed", "place", e.What, "cause", string(Classify(e.Err).Cause), "error", safeText(e.Err), "lasted", lasted)
	}
}

// A discoverRun is one run of a discover: it lists a place and enqueues new jobs.
type discoverRun struct {
	w      *Worker
	task   discoverTask
	place  fetch.Ref
	lister fetch.Lister
	filter Filter

	listed   int
	enqueued atomic.Int64
}

func (w *Worker) newDiscoverRun(task discoverTask, place fetch.Ref) (*discoverRun, error) {
	d := &discoverRun{w: w, task: task, place: place, lister: w.Listers[place.Scheme()], filter: Filter{Match: task.Match}}
	if d.lister == nil {
		return nil, fmt.Errorf("%w: this worker can't list %s places", errBadTask, place.Scheme())
	}
	if task.Since != "" && w.ParseSince == nil {
		return nil, fmt.Errorf("%w: since: %w", errBadTask, errors.ErrUnsupported)
	}
	if task.Since != "" {
		var err error
		if d.filter.Since, err = w.ParseSince(task.Since); err != nil {
			return nil, fmt.Errorf("%w: since: %w", errBadTask, err)
		}
	}
	return d, nil
}

// enqueueConcurrency is how many jobs are looked up and enqueued at once, so that
// a Redis far away takes as many a second as one nearby.
const enqueueConcurrency = redisPool / 4

// run lists the place and enqueues what is new: what has not landed, damaged or
// not, has not failed, and was not cancelled. What was enqueued before it fails
// stays so. A panic of the lister is an error of the listing.
func (d *discoverRun) run(ctx context.Context) (err error) {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(enqueueConcurrency)
	defer func() {
		if x := recover(); x != nil {
			err = fmt.Errorf("%w: %v", ErrPanicked, x)
			d.w.Log.Warn("a listing panicked", "place", d.place.String(), "panic", safeText(err), "stack", string(debug.Stack()))
		}
		err = cmp.Or(group.Wait(), err, context.Cause(ctx))
	}()
	for job, err := range d.lister.List(groupCtx, d.place, d.filter.Since) {
		if err != nil {
			return err
		}
		d.listed++
		if !d.filter.Includes(job) {
			continue
		}
		group.Go(func() error {
			_, err := d.w.Archive.Receipt(job.Ref.Key())
			if err == nil || errors.Is(err, archive.ErrDamaged) {
				return nil
			}
			if !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			record, _, err := d.w.Archive.State(job.Ref.Key())
			if err != nil && !errors.Is(err, fs.ErrNotExist) || err == nil && !isPending(record) {
				return err
			}
			added, err := d.enqueue(groupCtx, job.Ref, err == nil)
			if added {
				d.enqueued.Add(1)
			}
			return err
		})
	}
	return nil
}

// enqueue has this worker, or another one of its Queue, wait for an export's job and
// fetch it. known says that the archive has a record of it. Without a Queue the archive is
// told first, since what is in memory alone is forgotten when the worker ends.
func (d *discoverRun) enqueue(ctx context.Context, ref fetch.Ref, known bool) (added bool, err error) {
	w, o := d.w, Options{Wait: d.task.Wait}
	if w.Queue != nil {
		return w.Queue.Enqueue(ctx, ref, o)
	}
	if !known {
		err = (&run{w: w, ref: ref, options: o}).ask(time.Now())
	}
	if err != nil && !errors.Is(err, archive.ErrBusy) && !errors.Is(err, archive.ErrLanded) { // of which its own run tells
		return false, err
	}
	return w.dispatcher.enqueue(ref, o), nil
}
