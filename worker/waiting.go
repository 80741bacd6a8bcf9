package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"tallyman/fetch"
)

// A group whose members are due is looked after by one worker at a time: the one that has
// the task of its turn, which renews its lease. Once that has ended, for its worker may
// have died, the next worker that looks begins the next turn, and a task of an earlier one
// ends at once.
const (
	renewInterval = groupLease / 5

	placeConcurrency = 64 // groups that a worker looks after at once; the calls that they make are few a second
)

// How a group is looked after. Where a listing of the place costs fewer calls than asking
// for each job that is due, it is listed: what the listing shows to be pending is due
// again later, what has ended is fetched, and what it lacks is asked for.
const (
	crowd          = 8                // from so many members on, an export joins them before its job is asked for
	minDue         = 32               // members, from which on a place is listed
	dueSoon        = 15 * time.Second // they count as due, since a listing shows them all the same
	callInterval   = time.Minute / 100
	maxListingGap  = 2 * time.Minute  // between two listings, however many calls each takes
	maxListWait    = 50 * time.Second // from one listing to the next is due, so that it is made within a minute, though others have their turn before
	firstListPause = 10 * time.Second
	maxListPauses  = 6 // after listings that failed in a row, each twice as long as the one before
	jobsPerCall    = 100
	listingsAtOnce = 8           // of a service as one account, whose rate they share: each then ends soon, and few are lost with a worker
	asksInParallel = 4           // of a turn, so that listings have most of that rate
	asksAtOnce     = 32          // members that are asked for one by one, until a listing may cost less
	turnLimit      = time.Minute // for asking one by one; what is left then is for the next turn
)

// A placeListings is what a worker remembers of the listings of a place. Who looks after
// the group has it locked.
type placeListings struct {
	mu          sync.Mutex
	calls       int       // of the last one that would have cost too many
	checks      int       // answers of the next one that are to be checked, in case the service's listings lag behind
	failures    int       // in a row
	pausedUntil time.Time // because of them
}

// A turn is one look after the members of a group.
type turn struct {
	w        *Worker
	group    string
	place    fetch.Ref
	lister   fetch.Lister // nil if the group is of no place that can be listed
	listings *placeListings
	slots    chan struct{} // for the listings of the service as this account

	began   time.Time
	all     int             // members, when the listing began
	listed  time.Time       // when the last listing of this turn began
	checked map[string]bool // members, by hash, that the listing shows as pending, and that are asked for all the same
	lags    atomic.Bool     // the listing was wrong about one of those
}

// keepWaiting claims groups until ctx ends.
func (w *Worker) keepWaiting(ctx context.Context) {
	for fetch.Sleep(ctx, w.TaskCheckInterval) == nil {
		_ = w.Queue.claimGroups(ctx) // while Redis is away, its client tells
	}
}

// handlePlace looks after the members of a group that are due, until the
// worker is to stop: what is left then is for the next turn.
func (w *Worker) handlePlace(ctx context.Context, t *asynq.Task) error {
	group := string(t.Payload())
	var task placeTask
	if err := decodeStrict(t.Payload(), &task, &task.Version); err != nil {
		return w.quarantineTask(fmt.Errorf("%w: %w", errBadTask, err))
	}
	_, number, _ := strings.Cut(strings.TrimPrefix(t.ResultWriter().TaskID(), "place."), ".")
	if mine, err := w.Queue.renew(ctx, group, number, time.Now().Add(groupLease)); err != nil || !mine {
		return nil // another turn has begun, or will
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	defer context.AfterFunc(w.softCtx, func() { stop(errWorkerStopped) })()
	renewing := make(chan struct{})
	go func() {
		defer close(renewing)
		for ends := time.Now().Add(groupLease); fetch.Sleep(ctx, renewInterval) == nil; {
			next := time.Now().Add(groupLease)
			mine, err := w.Queue.renew(ctx, group, number, next)
			if err == nil && mine {
				ends = next
			} else if err == nil || time.Now().After(ends) {
				stop(errors.New("another turn has begun, or may have"))
			}
		}
	}()
	_ = w.lookAfter(ctx, group, task) // while Redis is away, its client tells
	stop(nil)
	<-renewing
	_, _ = w.Queue.renew(context.WithoutCancel(ctx), group, number, time.UnixMilli(0)) // else the lease ends by itself
	return nil
}

// lookAfter looks after the members of a group that are due. Its error is of Redis, or
// ctx has ended.
func (w *Worker) lookAfter(ctx context.Context, group string, task placeTask) error {
	listings, _ := w.listings.LoadOrStore(group, &placeListings{checks: 1})
	l := listings.(*placeListings)
	if !l.mu.TryLock() {
		return nil // an earlier turn of this worker has not noticed yet that it is over
	}
	defer l.mu.Unlock()
	t := &turn{w: w, group: group, listings: l, began: time.Now(), checked: map[string]bool{}}
	if place, err := fetch.ParsePlace(task.Place); err == nil && (w.Profile == nil || w.Profile(place) == task.Profile) {
		t.place, t.lister = place, w.Listers[place.Scheme()]
		slots, _ := w.listSlots.LoadOrStore(place.Scheme()+" "+task.Profile, make(chan struct{}, listingsAtOnce))
		t.slots = slots.(chan struct{})
	}
	for {
		due, err := t.worthListing(ctx)
		if err == nil && due > 0 {
			err = t.list(ctx, due)
		}
		if err != nil {
			return err
		}
		if due == 0 && time.Since(t.began) >= turnLimit {
			break
		}
		members, err := w.Queue.dueMembers(ctx, group, t.began, asksAtOnce)
		if err == nil && len(members) > 0 {
			err = t.ask(ctx, members)
		}
		if err != nil || len(members) == 0 {
			break
		}
	}
	switch {
	case t.lags.Load():
		l.checks = min(4*l.checks, max(t.all, 1))
	case len(t.checked) > 0:
		l.checks = max(1, l.checks/2)
	}
	return context.Cause(ctx)
}

// worthListing returns how many members are due, or will be soon, and were not when the last
// listing of this turn began, if a listing costs less than asking for each of them; else 0.
// It notes how many members there are.
func (t *turn) worthListing(ctx context.Context) (due int, err error) {
	if t.lister == nil || time.Now().Before(t.listings.pausedUntil) {
		return 0, nil
	}
	from, to := "-inf", strconv.FormatInt(time.Now().Add(dueSoon).UnixMilli(), 10)
	if !t.listed.IsZero() {
		from = "(" + strconv.FormatInt(t.listed.UnixMilli(), 10)
	}
	q := t.w.Queue.redis
	n, err := q.ZCount(ctx, dueKey+t.group, from, to).Result()
	if err != nil || n < minDue {
		return 0, err
	}
	members, err := q.ZCard(ctx, dueKey+t.group).Result()
	if err != nil || n < max(members/jobsPerCall, int64(2*t.listings.calls)) {
		return 0, err
	}
	t.all = int(members)
	return int(n), nil
}

// list lists the place until it has shown all members, or has cost as much as asking for
// each member that is due. A listing that fails ends no wait: what it did not show is
// asked for, and the next one has to wait.
func (t *turn) list(ctx context.Context, due int) (err error) {
	select {
	case t.slots <- struct{}{}:
		defer func() { <-t.slots }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	l := t.listings
	t.listed = time.Now()
	jobs, shown := 0, 0
	var page []fetch.Listed
	var taken error // of Redis
	take := func() error {
		var n int
		n, taken = t.takePage(ctx, page)
		shown, page = shown+n, page[:0]
		return taken
	}
	l.calls = 0
	listing := func() (err error) {
		defer fetch.Recover(&err)
		for job, err := range t.lister.List(ctx, t.place, time.Time{}) {
			if err != nil {
				return err
			}
			jobs++
			if page = append(page, job); len(page) < jobsPerCall {
				continue
			}
			if err = take(); err != nil || shown >= t.all {
				return err
			}
			if jobs >= jobsPerCall*due {
				l.calls = due
				return nil
			}
		}
		return nil
	}()
	if taken == nil {
		_ = take()
	}
	err = cmp.Or(taken, context.Cause(ctx))
	if err == nil && listing == nil && l.calls == 0 {
		err = t.recordListing(ctx)
	}
	if err == nil {
		t.tellListing(listing, jobs)
	}
	return err
}

// tellListing tells that the place can't be listed, or can again, and has the next listing
// wait if this one failed.
func (t *turn) tellListing(failure error, jobs int) {
	l := t.listings
	known, _ := t.w.outages.LoadOrStore("listing of "+t.group, &Outage{What: t.place.String(), Tell: t.w.logListingOutage})
	outage := known.(*Outage)
	if failure == nil || jobs > 0 && errors.Is(failure, fetch.ErrRefused) { // of jobs whose names no reference can hold
		l.failures = 0
		outage.Passed(t.group)
		return
	}
	if outage.Failed(t.group, failure) == 0 {
		t.w.Log.Warn("the place can't be listed: its jobs are asked for one by one", "place", t.place.String(), "waiting", t.all, "cause", string(Classify(failure).Cause), "error", safeText(failure))
	}
	l.pausedUntil = time.Now().Add(max(firstListPause<<min(l.failures, maxListPauses), fetch.RetryAfter(failure)))
	l.failures++
}

// takePage takes in jobs of a listing, and returns how many of them are members. Those that
// have ended get their tasks. The others are due again later, but for some which are asked
// for all the same.
func (t *turn) takePage(ctx context.Context, page []fetch.Listed) (shown int, err error) {
	if len(page) == 0 {
		return 0, nil
	}
	hashes, listed := make([]string, len(page)), make(map[string]fetch.Listed, len(page))
	for i, job := range page {
		hashes[i] = job.Ref.Hash()
		listed[hashes[i]] = job
	}
	members, err := t.w.Queue.members(ctx, t.group, hashes)
	if err != nil {
		return 0, err
	}
	gap := min(time.Duration(t.all/jobsPerCall)*callInterval, maxListingGap)
	var later []postponed
	var ended []member
	for _, m := range members {
		r := t.run(m)
		left := r.waitLeft(m.asked)
		switch state := listed[m.hash].State; {
		case left <= 0, state != fetch.Pending && state != fetch.Running:
			m.life = listed[m.hash].Life
			ended = append(ended, m)
		case rand.IntN(t.all+1) < t.listings.checks: //nolint:gosec // any will do
			t.checked[m.hash] = true
			later = append(later, postponed{m.hash, t.began})
		default:
			pause := min(max(min(r.pollDelay(m.asked, nil), maxListWait), gap), left)
			later = append(later, postponed{m.hash, time.Now().Add(pause)})
		}
	}
	return len(members), errors.Join(t.w.Queue.postpone(ctx, t.group, later), t.promote(ctx, ended))
}

// recordListing writes down when the place was listed, and how long after the time before,
// for those who ask how often that is.
func (t *turn) recordListing(ctx context.Context) error {
	q := t.w.Queue.redis
	said, err := q.HGet(ctx, listingsKey, t.group).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	var before, interval int64
	if _, err := fmt.Sscan(said, &before, &interval); err == nil {
		interval = t.listed.UnixMilli() - before
	}
	return q.HSet(ctx, listingsKey, t.group, fmt.Sprintf("%d %d", t.listed.UnixMilli(), interval)).Err()
}

// run is a run of a member's task, to ask for its job and to tell how long it may wait.
func (t *turn) run(m member) *run {
	return &run{w: t.w, options: Options{Wait: Duration(m.wait)}}
}

// promote gives members the tasks that decide.
func (t *turn) promote(ctx context.Context, members []member) error {
	var group errgroup.Group
	group.SetLimit(enqueueConcurrency)
	for _, m := range members {
		group.Go(func() error { return t.promoteOne(ctx, m) })
	}
	return group.Wait()
}

// promoteOne gives a member the task that decides, and tells until when its export is there.
func (t *turn) promoteOne(ctx context.Context, m member) error {
	var ends time.Time
	if m.life.Lasts > 0 {
		ends = m.life.Ends(t.w.Queue.lastPending(ctx, m, t.w.PollInterval))
		if _, ref, err := m.task(); err == nil {
			t.w.tellEnds(ref, ends)
		}
	}
	return t.w.Queue.promote(ctx, m, ends)
}

// ask asks for the jobs of members. Those that still wait are due again later, the others
// get their tasks.
func (t *turn) ask(ctx context.Context, members []member) error {
	var asks errgroup.Group
	asks.SetLimit(min(max(t.w.PollConcurrency, 1), asksInParallel))
	var mu sync.Mutex
	var later []postponed
	for _, m := range members {
		asks.Go(func() error {
			select {
			case t.w.asks <- struct{}{}:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			pause := t.askMember(ctx, &m)
			<-t.w.asks
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if pause <= 0 {
				return t.promoteOne(ctx, m)
			}
			mu.Lock()
			defer mu.Unlock()
			later = append(later, postponed{m.hash, time.Now().Add(pause)})
			return nil
		})
	}
	err := asks.Wait()
	return errors.Join(err, t.w.Queue.postpone(context.WithoutCancel(ctx), t.group, later))
}

// endNoWait are the causes that say nothing of a job, even where attempts by them are
// counted.
var endNoWait = append(slices.Clone(outageCauses), "auth-denied", "proxy", "tls")

// askMember asks for the job of a member, and returns after what time that is to be asked
// again: not at all, if its task is to decide.
func (t *turn) askMember(ctx context.Context, m *member) time.Duration {
	_, ref, err := m.task()
	if err != nil {
		t.w.Log.Warn("an export that waits can't be read: it is left for a worker that can", "cause", "bad-task", "error", safeText(err))
		return maxPollInterval
	}
	r := t.run(*m)
	r.ref = ref
	answer := func() (err error) {
		defer fetch.Recover(&err)
		return t.w.Fetcher.Poll(fetch.WithLifetime(ctx, func(life fetch.Lifetime) { m.life = life }), ref)
	}()
	if ctx.Err() != nil {
		return 0
	}
	outcome := Classify(answer)
	t.w.outages.Range(func(of, outage any) bool {
		if of != outcome.Cause {
			outage.(*Outage).Passed(m.hash)
		}
		return true
	})
	left := r.waitLeft(m.asked)
	notReady, waits := errors.AsType[*fetch.NotReadyError](answer)
	switch {
	case waits && notReady.State != "" && left > 0:
		return max(min(r.pollDelay(m.asked, notReady), left), time.Millisecond)
	case answer == nil, isA[*fetch.JobError](answer), errors.Is(answer, fetch.ErrNotFound):
		if t.checked[m.hash] {
			t.lags.Store(true)
		}
		return 0
	case waits, left <= 0, errors.Is(answer, errors.ErrUnsupported):
		return 0
	}
	if outcome.Budget.Worker != endless && !slices.Contains(endNoWait, outcome.Cause) {
		return 0
	}
	if snoozed, ok := errors.AsType[*snoozeError](r.waitOut(nil, answer, outcome)); ok {
		return snoozed.delay
	}
	return 0
}
