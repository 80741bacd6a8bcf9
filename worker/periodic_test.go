package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hibiken/asynq"

	"tallyman/fetch"
	"tallyman/verify/archive"
)

const jobPlace = "sls://cn-hangzhou/project/"

// A roll is a Lister of jobs that are all ready, and of which new ones come.
type roll struct {
	shelf
	a      *archive.Archive
	hinder func(ctx context.Context, n int) error // of the nth listing, from 1 on

	mu     sync.Mutex
	jobs   []fetch.Listed // the oldest first
	lists  []time.Time
	atOnce int
	most   int            // lists at once
	ended  map[string]int // by reference
	log    bytes.Buffer
}

func newRoll(t testing.TB, jobs ...string) *roll {
	t.Helper()
	r := &roll{a: open(t), ended: map[string]int{}}
	r.add(t, jobs...)
	return r
}

// add has new jobs, made now.
func (r *roll) add(t testing.TB, names ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range names {
		r.jobs = append(r.jobs, fetch.Listed{Ref: parseRef(t, jobPlace+name), State: fetch.Ready, Status: "there", Created: time.Now()})
	}
}

// List implements fetch.Lister.
func (r *roll) List(ctx context.Context, place fetch.Ref, _ time.Time) iter.Seq2[fetch.Listed, error] {
	return func(yield func(fetch.Listed, error) bool) {
		n, jobs := r.begin()
		defer r.end()
		if r.hinder != nil {
			if err := r.hinder(ctx, n); err != nil {
				yield(fetch.Listed{}, err)
				return
			}
		}
		for _, job := range slices.Backward(jobs) {
			if !strings.HasPrefix(job.Ref.String(), place.String()) || !yield(job, nil) {
				return
			}
		}
	}
}

func (r *roll) begin() (int, []fetch.Listed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lists = append(r.lists, time.Now())
	r.atOnce++
	r.most = max(r.most, r.atOnce)
	return len(r.lists), slices.Clone(r.jobs)
}

func (r *roll) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.atOnce--
}

// worker is one of a queue that others may serve too, with that schedule.
func (r *roll) worker(q *Queue, entries ...Entry) *Worker {
	w := newWorker(q, r.a, r.on(r.a))
	w.Wake, w.Drain = 2*time.Second, drain
	w.Schedule, w.Listers, w.Since = entries, map[string]fetch.Lister{"sls": r}, ago
	w.Log = slog.New(slog.NewTextHandler(r, nil))
	w.Ended = func(ref fetch.Ref, _ *archive.Receipt, err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.ended[ref.String()]++
		if err != nil {
			r.ended[err.Error()]++
		}
	}
	return w
}

// Write takes in the log.
func (r *roll) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(line)
}

// said is how many lines of the log hold a text.
func (r *roll) said(text string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for line := range strings.Lines(r.log.String()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// on counts what is sent for all workers together.
func (r *roll) on(a *archive.Archive) *fetch.Fetcher {
	sent := r.sent
	f := r.shelf.on(a)
	if sent != nil {
		r.sent = sent
	}
	return f
}

// landed holds the jobs to having landed, each by one task and one request, and
// none beside them.
func (r *roll) landed(t testing.TB, names ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range names {
		ref := parseRef(t, jobPlace+name)
		mustLand(t, r.a, ref)
		if r.ended[ref.String()] != 1 || r.answers(ref) != 1 {
			t.Errorf("%s ended %d times and was asked for %d times", name, r.ended[ref.String()], r.answers(ref))
		}
	}
	if len(r.ended) != len(names) {
		t.Errorf("it is more than %v that ended: %v", names, r.ended)
	}
}

// listed holds the lists to their number, and to be so far apart.
func (r *roll) listed(t testing.TB, least, most int, apart time.Duration) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.lists); n < least || n > most {
		t.Errorf("it was listed %d times, want %d to %d: %v", n, least, most, r.lists)
	}
	for i := 1; i < len(r.lists); i++ {
		if pause := r.lists[i].Sub(r.lists[i-1]); pause < apart {
			t.Errorf("list %d is %v after the one before", i+1, pause)
		}
	}
	if r.most > 1 {
		t.Errorf("%d lists at once", r.most)
	}
}

func ago(text string) (time.Time, error) {
	d, err := time.ParseDuration(text)
	return time.Now().Add(-d), err
}

func every(t testing.TB, interval time.Duration) Entry {
	t.Helper()
	place, err := fetch.ParsePlace(jobPlace)
	if err != nil {
		t.Fatal(err)
	}
	return Entry{Place: place, Every: interval}
}

func at(t testing.TB, cron string) Entry {
	e := every(t, 0)
	e.Cron = cron
	return e
}

// ample is how long a run and its exports take at most, with nothing in their
// way.
const ample = 20 * time.Second

func TestNewJobsAreEnqueuedOnceWhoeverLooks(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		apart time.Duration // the beginnings of the two workers
		most  int           // lists
	}{"together": {0, 6}, "apart": {40 * time.Second, 12}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p, r := pretend(t), newRoll(t, "job0", "job1")
				defer serve(t, r.worker(NewQueue(p.client), every(t, time.Minute)))()
				time.Sleep(test.apart)
				defer serve(t, r.worker(NewQueue(p.dial()), every(t, time.Minute)))()
				for n := range 5 {
					time.Sleep(time.Minute)
					r.add(t, fmt.Sprint("job", n+2))
				}
				time.Sleep(ample - test.apart)
				r.landed(t, "job0", "job1", "job2", "job3", "job4", "job5")
				r.listed(t, 6, test.most, 20*time.Second)
				if n := r.said("msg=listed"); n != len(r.lists) {
					t.Errorf("%d of %d lists were told of", n, len(r.lists))
				}
			})
		})
	}
}

func TestALongRunIsNotDoubled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, r := pretend(t), newRoll(t, "job")
		r.hinder = func(ctx context.Context, _ int) error { return fetch.Sleep(ctx, 150*time.Second) }
		for range 2 {
			defer serve(t, r.worker(NewQueue(p.dial()), every(t, time.Minute)))()
		}
		time.Sleep(10 * time.Minute)
		r.listed(t, 3, 4, 150*time.Second)
		r.landed(t, "job")
	})
}

func TestAListThatFailsInPassingIsTriedUntilItDoesNot(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"network": unreachable, "throttled": &fetch.CallError{Call: "List", Kind: fetch.ErrThrottled, After: 5 * time.Minute}, "redis": ErrRedis,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p, r := pretend(t), newRoll(t, "job")
				r.hinder = func(_ context.Context, n int) error {
					if n <= 10 {
						return err
					}
					return nil
				}
				defer serve(t, r.worker(NewQueue(p.client), every(t, 24*time.Hour)))()
				time.Sleep(2 * time.Hour)
				r.landed(t, "job")
				r.listed(t, 11, 11, max(fetch.After(err), time.Second*9/10))
				for i := 1; i < len(r.lists); i++ {
					if pause := r.lists[i].Sub(r.lists[i-1]); pause > max(fetch.After(err), longestPoll*11/10)+10*time.Second {
						t.Errorf("list %d is %v after the one before", i+1, pause)
					}
				}
				if n := r.said("not listed yet"); n != 1 {
					t.Errorf("that it fails was told of %d times", n)
				}
			})
		})
	}
}

func TestAListThatWillNotPassWaitsUntilItIsDue(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func() error{
		"auth": func() error { return fetch.ErrAuth }, "panic": func() error { panic("what?Signature=" + canary) },
		"unknown": func() error { return errors.New("what") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p, r := pretend(t), newRoll(t, "job")
				r.hinder = func(_ context.Context, n int) error {
					if n <= 2 {
						return fail()
					}
					return nil
				}
				defer serve(t, r.worker(NewQueue(p.client), every(t, time.Hour)))()
				time.Sleep(2*time.Hour + ample)
				r.listed(t, 3, 3, time.Hour-ample)
				r.landed(t, "job")
				if r.said(`msg="not listed" place=`+jobPlace+" listed=0 enqueued=0") != 2 || r.said("msg=listed") != 1 || r.said(canary) != 0 {
					t.Errorf("it said %s", &r.log)
				}
			})
		})
	}
}

func TestWhatIsKnownIsNotEnqueued(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, r := pretend(t), newRoll(t, "nightly-old")
		time.Sleep(3 * time.Hour)
		r.add(t, "nightly-landed", "nightly-failed", "nightly-cancelled", "hourly", "nightly-new")
		q, f := NewQueue(p.client), r.on(r.a)
		if _, err := f.Fetch(t.Context(), parseRef(t, jobPlace+"nightly-landed")); err != nil {
			t.Fatal(err)
		}
		if err := Cancel(r.a, parseRef(t, jobPlace+"nightly-cancelled")); err != nil {
			t.Fatal(err)
		}
		failed := &script{ends: []error{fetch.ErrAuth}}
		if err := endOf(t, newWorker(NewQueue(p.dial()), r.a, failed), parseRef(t, jobPlace+"nightly-failed")); !errors.Is(err, fetch.ErrAuth) {
			t.Fatal(err)
		}
		p.FlushAll() // the archive knows without it
		e := every(t, time.Hour)
		e.Since, e.Match, e.Wait = "2h", "nightly-*", 24*time.Hour
		defer serve(t, r.worker(q, e))()
		time.Sleep(time.Hour + ample)
		r.landed(t, "nightly-new")
		if r.said("listed=6 enqueued=1") != 1 || r.said("listed=6 enqueued=0") != 1 {
			t.Errorf("it said %s", &r.log)
		}
	})
}

func TestSinceIsReadAtEachRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, r, e := pretend(t), newRoll(t, "missed"), every(t, time.Hour)
		e.Since = "2h"
		r.hinder = func(_ context.Context, n int) error { // the first that answers comes too late for it
			if n <= 2 {
				return fetch.ErrAuth
			}
			return nil
		}
		defer serve(t, r.worker(NewQueue(p.client), e))()
		time.Sleep(90 * time.Minute)
		r.add(t, "seen")
		time.Sleep(time.Hour)
		r.landed(t, "seen")
	})
}

func TestAWorkerThatBeginsLooksAtOnceUnlessOneJustDid(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, r := pretend(t), newRoll(t, "job")
		for n, test := range []struct {
			away  time.Duration
			lists int
		}{{0, 1}, {10 * time.Minute, 1}, {10 * time.Minute, 1}, {25 * time.Minute, 2}, {5 * time.Hour, 3}} {
			time.Sleep(test.away)
			stop := serve(t, r.worker(NewQueue(p.dial()), every(t, time.Hour), at(t, "0 0 1 6 *")))
			time.Sleep(ample)
			stop()
			if r.listed(t, test.lists, test.lists, 0); t.Failed() {
				t.Fatalf("after beginning %d", n+1)
			}
		}
		r.landed(t, "job")
	})
}

func TestTimesAreTheWorkersOwn(t *testing.T) {
	t.Parallel()
	tokyo := time.FixedZone("", 9*60*60)
	for spec, zone := range map[string]*time.Location{"30 2 * * *": time.Local, "CRON_TZ=Asia/Tokyo 30 2 * * *": tokyo} {
		synctest.Test(t, func(t *testing.T) {
			p, r := pretend(t), newRoll(t)
			for range 2 {
				w := r.worker(NewQueue(p.dial()), at(t, spec))
				w.Wake = 10 * time.Second
				defer serve(t, w)()
			}
			time.Sleep(48 * time.Hour)
			r.listed(t, 2, 2, 23*time.Hour)
			for _, began := range r.lists {
				if clock := began.In(zone).Format("15:04"); clock != "02:30" {
					t.Errorf("%s: it was listed at %s", spec, clock)
				}
			}
		})
	}
}

func TestAWorkerThatStopsLeavesItsListToOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, r := pretend(t), newRoll(t, "job")
		r.hinder = func(ctx context.Context, n int) error {
			if n == 1 {
				return fetch.Sleep(ctx, 24*time.Hour)
			}
			return nil
		}
		stop := serve(t, r.worker(NewQueue(p.client), every(t, 24*time.Hour)))
		time.Sleep(ample)
		began := time.Now()
		stop()
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("it took %v to stop", took)
		}
		defer serve(t, r.worker(NewQueue(p.dial()), every(t, 24*time.Hour)))()
		time.Sleep(ample)
		r.listed(t, 2, 2, 0)
		r.landed(t, "job")
		if r.said("not listed") != 0 {
			t.Errorf("it said %s", &r.log)
		}
	})
}

func TestAScheduleSurvivesTheLossOfRedis(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, r := pretend(t), newRoll(t, "job")
		defer serve(t, r.worker(NewQueue(p.client), every(t, time.Minute)))()
		time.Sleep(ample)
		p.FlushAll()
		r.add(t, "another")
		time.Sleep(time.Minute)
		p.SetError("LOADING")
		r.add(t, "third")
		time.Sleep(2 * time.Minute)
		p.SetError("")
		p.Server().SetPreHook(p.info)
		time.Sleep(2 * time.Minute)
		r.landed(t, "job", "another", "third")
		if r.said("not listed this time") == 0 {
			t.Error("nobody was told")
		}
	})
}

// poisonPlaces is what no payload of the schedule may be, beside what none may.
var poisonPlaces = map[string]struct{ payload, says string }{
	"nothing":        {"", "EOF"},
	"null":           {"null", "version 0"},
	"no place":       {`{"v":1,"place":""}`, "want SCHEME"},
	"a task":         {`{"v":1,"ref":"` + jobRef + `"}`, "unknown field"},
	"secret field":   {`{"v":1,"place":"` + jobPlace + `","https://h/?Signature=` + canary + `":1}`, "unknown field"},
	"version 2":      {`{"v":2,"place":"` + jobPlace + `"}`, "version 2, want 1"},
	"a job":          {`{"v":1,"place":"` + jobRef + `"}`, "want sls://REGION/PROJECT/"},
	"a bucket":       {`{"v":1,"place":"oss://bucket/prefix/"}`, "an export itself"},
	"scheme":         {`{"v":1,"place":"file:///etc/"}`, "want SCHEME"},
	"no lister":      {`{"v":1,"place":"dbs://cn-hangzhou/instance/"}`, "nobody here lists dbs places"},
	"signed URL":     {`{"v":1,"place":"https://h.example/a.csv?Expires=1\u0026Signature=` + canary + `"}`, "a URL is one file"},
	"dots":           {`{"v":1,"place":"sls://cn-hangzhou/../"}`, `PROJECT is ".."`},
	"secret option":  {`{"v":1,"place":"` + jobPlace + `?Signature=` + canary + `"}`, "it holds a secret"},
	"glob":           {`{"v":1,"place":"` + jobPlace + `","match":"["}`, "syntax error in pattern"},
	"since":          {`{"v":1,"place":"` + jobPlace + `","since":"yesterday"}`, "invalid duration"},
	"wait negative":  {`{"v":1,"place":"` + jobPlace + `","wait":"-1s"}`, "less than nothing"},
	"two payloads":   {`{"v":1,"place":"` + jobPlace + `"}{}`, "something follows"},
	"trailing space": {`{"v":1,"place":"` + jobPlace + `"} `, "not written as ours"},
	"a megabyte":     {`{"v":1,"place":"` + strings.Repeat(canary, 1<<20/len(canary)) + `"}`, "bytes, more than"},
}

func TestPoisonOfAScheduleIsSetAside(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, r, e := pretend(t), newRoll(t, "job"), every(t, time.Minute)
		w := r.worker(NewQueue(p.client), e)
		for name, bad := range poisonPlaces {
			addRaw(t, w.Queue, discoverQueue, name, typeDiscover, bad.payload)
		}
		addRaw(t, w.Queue, discoverQueue, "type", typePoll+"?Signature="+canary, string(e.task().payload()))
		defer serve(t, w)()
		time.Sleep(2 * time.Minute)
		for name, bad := range poisonPlaces {
			isSetAside(t, w.Queue, discoverQueue, name, bad.says)
		}
		isSetAside(t, w.Queue, discoverQueue, "type", "want place:discover")
		r.listed(t, 2, 3, 0)
		r.landed(t, "job")
		if r.said(canary) != 0 {
			t.Errorf("a secret is in the log: %s", &r.log)
		}
	})
}

func TestAPlaceIsTakenInAsItIsListed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const many = 300
		p, r := pretend(t), newRoll(t)
		w := r.worker(NewQueue(p.client), every(t, time.Minute))
		ahead := 0
		w.Listers["sls"] = lazily(func(yield func(fetch.Listed, error) bool) {
			for n := range many {
				if all, err := w.Queue.inspector.GetQueueInfo(pollQueue); err == nil {
					ahead = max(ahead, n-all.Size)
				}
				if !yield(fetch.Listed{Ref: parseRef(t, fmt.Sprint(jobPlace, "job", n))}, nil) {
					return
				}
			}
		})
		s, err := w.survey(asynq.NewTask(typeDiscover, w.Schedule[0].task().payload()))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.run(t.Context()); err != nil || s.enqueued.Load() != many || s.listed != many {
			t.Errorf("%d listed, %d enqueued, %v", s.listed, s.enqueued.Load(), err)
		}
		if ahead > enqueuedAtOnce+1 {
			t.Errorf("%d jobs were listed ahead", ahead)
		}
	})
}

// lazily is a Lister of one place.
type lazily iter.Seq2[fetch.Listed, error]

func (l lazily) List(context.Context, fetch.Ref, time.Time) iter.Seq2[fetch.Listed, error] {
	return iter.Seq2[fetch.Listed, error](l)
}

func TestTwoWorkersKeepAScheduleOnAnyRedis(t *testing.T) {
	inEach(t, func(t *testing.T, s store) {
		r, ended := newRoll(t, "job0"), make(chan error, 10)
		for range 2 {
			w := r.worker(NewQueue(s.dial()), every(t, 2*time.Second))
			w.Wake = soon
			told := w.Ended
			w.Ended = func(ref fetch.Ref, receipt *archive.Receipt, err error) {
				told(ref, receipt, err)
				ended <- err
			}
			defer serve(t, w)()
		}
		for n := range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if n == 0 {
				r.add(t, "job1")
			}
		}
		r.landed(t, "job0", "job1")
	})
}

func TestEntriesAreToldApart(t *testing.T) {
	hourly := every(t, time.Hour)
	ids := map[string]bool{hourly.id(): true}
	for _, change := range []func(*Entry){
		func(e *Entry) { e.Every = 2 * time.Hour }, func(e *Entry) { e.Cron = "0 * * * *" }, func(e *Entry) { e.Cron = "1 * * * *" },
		func(e *Entry) { e.Since = "1h" }, func(e *Entry) { e.Match = "1h" }, func(e *Entry) { e.Wait = time.Hour },
		func(e *Entry) { e.Place = fetch.Ref{} },
	} {
		e := hourly
		change(&e)
		ids[e.id()] = true
	}
	if len(ids) != 8 || !ids[every(t, time.Hour).id()] {
		t.Errorf("the IDs are %v", ids)
	}
}

func TestAnIntervalIsTheShortest(t *testing.T) {
	for _, test := range []struct {
		entry Entry
		want  time.Duration
	}{
		{every(t, 90*time.Minute), 90 * time.Minute},
		{at(t, "CRON_TZ=UTC 30 2 * * *"), 24 * time.Hour},
		{at(t, "CRON_TZ=UTC 0,10 2 * * *"), 10 * time.Minute},
		{at(t, "CRON_TZ=UTC 0 0 * * mon,thu"), 72 * time.Hour},
		{at(t, "CRON_TZ=UTC 0 0 1 * *"), 28 * 24 * time.Hour},
	} {
		if got := test.entry.interval(parseTime("2026-01-15T12:00:00Z")); got != test.want {
			t.Errorf("%s: %v, want %v", test.entry.spec(), got, test.want)
		}
	}
}

func TestTimesThatCanNotBeKeptAreRefused(t *testing.T) {
	for _, spec := range []string{"", "@daily", "@every 1h", "* * * *", "* * * * * *", "60 * * * *", "0 0 30 2 *", "TZ=UTC", "CRON_TZ=", "CRON_TZ=Nowhere 0 0 * * *"} {
		if CheckCron(spec) == nil {
			t.Errorf("%q is taken", spec)
		}
	}
	for _, spec := range []string{"* * * * *", "*/5 0-6 1,15 jan mon-fri", "TZ=UTC 30 2 * * *", "CRON_TZ=UTC 30 2 * * *"} {
		if err := CheckCron(spec); err != nil {
			t.Errorf("%q: %v", spec, err)
		}
	}
	w := &Worker{Queue: NewQueue(pretend(t).client), Archive: open(t), Schedule: []Entry{at(t, "never")}}
	if err := w.Run(t.Context()); err == nil {
		t.Error("a worker keeps a time that it can't read")
	}
}
