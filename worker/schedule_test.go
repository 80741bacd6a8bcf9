package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/alicebob/miniredis/v2/server"

	"tallyman/fetch"
	"tallyman/verify/archive"
)

func parseAgo(text string) (time.Time, error) {
	d, err := time.ParseDuration(text)
	return time.Now().Add(-d), err
}

func everyEntry(t testing.TB, interval time.Duration) ScheduleEntry {
	t.Helper()
	place, err := fetch.ParsePlace(jobPlace)
	if err != nil {
		t.Fatal(err)
	}
	return ScheduleEntry{Place: place, Every: interval}
}

func cronEntry(t testing.TB, cron string) ScheduleEntry {
	e := everyEntry(t, 0)
	e.Cron = cron
	return e
}

// maxRunTime is how long a listing and its exports take at most, if nothing fails.
const maxRunTime = 20 * time.Second

// onEachScheduler runs a test with a queue in a fake Redis, and with none, in which case
// a dispatcher keeps the schedule.
func onEachScheduler(t *testing.T, do func(*testing.T, *Queue)) {
	t.Parallel()
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) { do(t, NewQueue(newFakeRedis(t).client)) })
	})
	t.Run("in-process", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) { do(t, nil) })
	})
}

func TestNewJobsAreEnqueuedOnceByTwoWorkers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		apart time.Duration // the starts of the two workers
		most  int           // lists
	}{"together": {0, 4}, "apart": {40 * time.Second, 8}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p, r, names := newFakeRedis(t), newFakeLister(t, "job"), []string{"job"}
				defer startWorker(t, r.worker(NewQueue(p.client), everyEntry(t, time.Minute)))()
				time.Sleep(test.apart)
				defer startWorker(t, r.worker(NewQueue(p.dial()), everyEntry(t, time.Minute)))()
				time.Sleep(maxRunTime)
				for n := range 3 {
					names = append(names, fmt.Sprint("job", n))
					r.add(t, names[n+1])
					time.Sleep(time.Minute)
				}
				r.checkLanded(t, names...)
				r.checkListings(t, 4, test.most, 20*time.Second)
				if n := r.countLog("msg=listed"); n != len(r.listedAt()) {
					t.Errorf("%d of %d lists were told of", n, len(r.listedAt()))
				}
			})
		})
	}
}

func TestAPlaceIsNotListedTwiceAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, r := newFakeRedis(t), newFakeLister(t, "job")
		r.BeforeList = func(ctx context.Context, _ int) error { return fetch.Sleep(ctx, 150*time.Second) }
		for range 2 {
			defer startWorker(t, r.worker(NewQueue(p.dial()), everyEntry(t, time.Minute)))()
		}
		time.Sleep(6 * time.Minute)
		r.checkListings(t, 2, 3, 150*time.Second)
		r.checkLanded(t, "job")
	})
}

func TestATemporaryFailureOfAListingIsRetried(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"network": networkErr, "throttled": &fetch.CallError{Call: "List", Kind: fetch.ErrThrottled, RetryAfter: 90 * time.Second}, "redis": ErrRedis,
	} {
		t.Run(name, func(t *testing.T) {
			onEachScheduler(t, func(t *testing.T, q *Queue) {
				r := newFakeLister(t, "job")
				r.BeforeList = func(_ context.Context, n int) error {
					if n <= 5 {
						return err
					}
					return nil
				}
				defer startWorker(t, r.worker(q, everyEntry(t, 24*time.Hour)))()
				time.Sleep(9 * time.Minute)
				r.checkLanded(t, "job")
				r.checkListings(t, 6, 6, max(fetch.RetryAfter(err), time.Second*9/10))
				for i := 1; i < len(r.listedAt()); i++ {
					if pause := r.listedAt()[i].Sub(r.listedAt()[i-1]); pause > max(fetch.RetryAfter(err), maxPollInterval*11/10)+10*time.Second {
						t.Errorf("list %d is %v after the one before", i+1, pause)
					}
				}
				if begins, ends := r.countLog("not listed yet"), r.countLog("it is over: the place answers again"); begins != 1 || ends != 1 {
					t.Errorf("that it fails was told of %d times, and that this is over %d times", begins, ends)
				}
			})
		})
	}
}

// A place that is away for hours is told when that begins, hourly, and when it is over.
func TestAnOutageOfAPlaceIsToldHourly(t *testing.T) {
	if testing.Short() {
		t.Skip("hours of simulated time")
	}
	onEachScheduler(t, func(t *testing.T, q *Queue) {
		r := newFakeLister(t, "job")
		until := time.Now().Add(2*time.Hour + 30*time.Minute)
		r.BeforeList = func(context.Context, int) error {
			if time.Now().Before(until) {
				return networkErr
			}
			return nil
		}
		w := r.worker(q, everyEntry(t, 24*time.Hour))
		w.TaskCheckInterval = 20 * time.Second
		defer startWorker(t, w)()
		time.Sleep(3 * time.Hour)
		r.checkLanded(t, "job")
		for says, want := range map[string]int{"not listed yet": 1, "still not listed": 2, "it is over: the place answers again": 1} {
			if n := r.countLog(says); n != want {
				t.Errorf("%d lines say %q, want %d", n, says, want)
			}
		}
	})
}

func TestAPermanentFailureOfAListingWaitsUntilItIsDue(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func() error{
		"auth": func() error { return fetch.ErrAuth }, "panic": func() error { panic("what?Signature=" + canary) },
		"unknown": func() error { return errors.New("what") },
	} {
		t.Run(name, func(t *testing.T) {
			onEachScheduler(t, func(t *testing.T, q *Queue) {
				r := newFakeLister(t, "job")
				r.BeforeList = func(_ context.Context, n int) error {
					if n <= 2 {
						return fail()
					}
					return nil
				}
				defer startWorker(t, r.worker(q, everyEntry(t, 2*time.Minute)))()
				time.Sleep(4*time.Minute + maxRunTime)
				r.checkListings(t, 3, 3, 2*time.Minute-maxRunTime)
				r.checkLanded(t, "job")
				if r.countLog(`msg="not listed" place=`+jobPlace+" listed=0 enqueued=0") != 2 || r.countLog("msg=listed") != 1 || r.countLog(canary) != 0 {
					t.Errorf("it said %s", &r.log)
				}
			})
		})
	}
}

func TestDiscoverEnqueuesOnlyNewJobs(t *testing.T) {
	onEachScheduler(t, func(t *testing.T, q *Queue) {
		r := newFakeLister(t, "nightly-old")
		time.Sleep(3 * time.Hour)
		r.add(t, "nightly-landed", "nightly-failed", "nightly-cancelled", "hourly", "nightly-new")
		if _, err := r.f.Fetch(t.Context(), parseRef(t, jobPlace+"nightly-landed")); err != nil {
			t.Fatal(err)
		}
		if err := cancelRecord(r.a, parseRef(t, jobPlace+"nightly-cancelled"), ""); err != nil {
			t.Fatal(err)
		}
		failed := &scriptedFetcher{ends: []error{fetch.ErrAuth}}
		if err := fetchByWorker(t, newWorker(NewQueue(newFakeRedis(t).client), r.a, failed), parseRef(t, jobPlace+"nightly-failed")); !errors.Is(err, fetch.ErrAuth) {
			t.Fatal(err)
		}
		e := everyEntry(t, time.Minute)
		e.Since, e.Match, e.Wait = "2h", "nightly-*", 24*time.Hour
		defer startWorker(t, r.worker(q, e))()
		time.Sleep(time.Minute + maxRunTime)
		r.checkLanded(t, "nightly-new")
		if r.countLog("listed=6 enqueued=1") != 1 || r.countLog("listed=6 enqueued=0") != 1 {
			t.Errorf("it said %s", &r.log)
		}
	})
}

func TestSinceIsReadAtEachRun(t *testing.T) {
	onEachScheduler(t, func(t *testing.T, q *Queue) {
		r, e := newFakeLister(t, "missed"), everyEntry(t, time.Minute)
		e.Since = "90s"
		r.BeforeList = func(_ context.Context, n int) error { // the first listing that succeeds is too late for it
			if n <= 2 {
				return fetch.ErrAuth
			}
			return nil
		}
		defer startWorker(t, r.worker(q, e))()
		time.Sleep(90 * time.Second)
		r.add(t, "seen")
		time.Sleep(time.Minute)
		r.checkLanded(t, "seen")
	})
}

func TestAWorkerListsAtItsStartUnlessAnotherJustDid(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, r := newFakeRedis(t), newFakeLister(t, "job")
		for n, test := range []struct {
			away  time.Duration
			lists int
		}{{0, 1}, {10 * time.Minute, 1}, {10 * time.Minute, 1}, {25 * time.Minute, 2}, {5 * time.Hour, 3}} {
			time.Sleep(test.away)
			stop := startWorker(t, r.worker(NewQueue(p.dial()), everyEntry(t, time.Hour), cronEntry(t, "0 0 1 6 *")))
			time.Sleep(maxRunTime)
			stop()
			if r.checkListings(t, test.lists, test.lists, 0); t.Failed() {
				t.Fatalf("after beginning %d", n+1)
			}
		}
		r.checkLanded(t, "job")
	})
}

func TestCronIsInTheTimeOfTheWorker(t *testing.T) {
	if testing.Short() {
		t.Skip("hours of simulated time")
	}
	onEachScheduler(t, func(t *testing.T, q *Queue) {
		r, began := newFakeLister(t), time.Now()
		daily := func(zone string, clock *time.Location, in time.Duration) ScheduleEntry {
			return cronEntry(t, zone+began.Add(in).In(clock).Format("4 15 * * *"))
		}
		entries := []ScheduleEntry{
			daily("", time.Local, 2*time.Minute),
			daily("CRON_TZ=Asia/Tokyo ", time.FixedZone("", 9*60*60), 4*time.Minute),
		}
		defer startWorker(t, r.worker(q, entries...))()
		if q != nil { // another worker keeps it, too
			defer startWorker(t, r.worker(NewQueue(q.redis), entries...))()
		}
		time.Sleep(6 * time.Minute)
		r.checkListings(t, 2, 2, time.Minute)
		if first := r.listedAt()[0].Sub(began); first < 2*time.Minute || first > 2*time.Minute+maxRunTime {
			t.Errorf("it was first listed after %v", first)
		}
	})
}

func TestAListingThatWasCutShortGoesToAnotherWorker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, r := newFakeRedis(t), newFakeLister(t, "job")
		r.BeforeList = func(ctx context.Context, n int) error {
			if n == 1 {
				return fetch.Sleep(ctx, 24*time.Hour)
			}
			return nil
		}
		stop := startWorker(t, r.worker(NewQueue(p.client), everyEntry(t, 24*time.Hour)))
		time.Sleep(maxRunTime)
		began := time.Now()
		stop()
		if took := time.Since(began); took > 4*time.Second { // of 3 and what Redis takes to answer
			t.Errorf("it took %v to stop", took)
		}
		defer startWorker(t, r.worker(NewQueue(p.dial()), everyEntry(t, 24*time.Hour)))()
		time.Sleep(maxRunTime)
		r.checkListings(t, 2, 2, 0)
		r.checkLanded(t, "job")
		if r.countLog("not listed") != 0 {
			t.Errorf("it said %s", &r.log)
		}
	})
}

func TestAScheduleSurvivesFailuresOfRedis(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, r := newFakeRedis(t), newFakeLister(t, "job")
		defer startWorker(t, r.worker(NewQueue(p.client), everyEntry(t, time.Minute)))()
		time.Sleep(maxRunTime)
		p.FlushAll()
		r.add(t, "another")
		time.Sleep(time.Minute)
		r.checkLanded(t, "job", "another")
		p.Server().SetPreHook(func(c *server.Peer, command string, args ...string) bool {
			refused := slices.ContainsFunc(args, func(arg string) bool { return strings.Contains(arg, ":t:discover.") })
			if refused {
				c.WriteError("ERR not now?Signature=" + canary)
			}
			return refused || p.answer(c, command, args...)
		})
		r.add(t, "third")
		time.Sleep(time.Minute)
		r.checkLanded(t, "job", "another")
		p.Server().SetPreHook(p.answer)
		time.Sleep(time.Minute)
		r.checkLanded(t, "job", "another", "third")
		if r.countLog("is not listed this time") != 1 || r.countLog(canary) != 0 {
			t.Errorf("it said %s", &r.log)
		}
	})
}

func TestTwoWorkersKeepASchedule(t *testing.T) {
	onEachRedis(t, func(t *testing.T, s redisServer) {
		r, ended := newFakeLister(t, "job0"), make(chan error, 10)
		for range 2 {
			w := r.worker(NewQueue(s.dial()), everyEntry(t, 2*time.Second))
			w.TaskCheckInterval = fastCheck
			told := w.OnEnd
			w.OnEnd = func(ref fetch.Ref, receipt *archive.Receipt, err error) {
				told(ref, receipt, err)
				ended <- err
			}
			defer startWorker(t, w)()
		}
		for n := range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if n == 0 {
				r.add(t, "job1")
			}
		}
		r.checkLanded(t, "job0", "job1")
	})
}

func TestDifferentEntriesHaveDifferentIDs(t *testing.T) {
	hourly := everyEntry(t, time.Hour)
	ids := map[string]bool{hourly.id(): true}
	for _, change := range []func(*ScheduleEntry){
		func(e *ScheduleEntry) { e.Every = 2 * time.Hour }, func(e *ScheduleEntry) { e.Cron = "0 * * * *" }, func(e *ScheduleEntry) { e.Cron = "1 * * * *" },
		func(e *ScheduleEntry) { e.Since = "1h" }, func(e *ScheduleEntry) { e.Match = "1h" }, func(e *ScheduleEntry) { e.Wait = time.Hour },
		func(e *ScheduleEntry) { e.Place = fetch.Ref{} },
	} {
		e := hourly
		change(&e)
		ids[e.id()] = true
	}
	if len(ids) != 8 || !ids[everyEntry(t, time.Hour).id()] {
		t.Errorf("the IDs are %v", ids)
	}
}

func TestIntervalIsTheShortestBetweenTwoTimes(t *testing.T) {
	for _, test := range []struct {
		entry ScheduleEntry
		want  time.Duration
	}{
		{everyEntry(t, 90*time.Minute), 90 * time.Minute},
		{cronEntry(t, "CRON_TZ=UTC 30 2 * * *"), 24 * time.Hour},
		{cronEntry(t, "CRON_TZ=UTC 0,10 2 * * *"), 10 * time.Minute},
		{cronEntry(t, "CRON_TZ=UTC 0 0 * * mon,thu"), 72 * time.Hour},
		{cronEntry(t, "CRON_TZ=UTC 0 0 1 * *"), 28 * 24 * time.Hour},
	} {
		if got := test.entry.interval(parseTime("2026-01-15T12:00:00Z")); got != test.want {
			t.Errorf("%s: %v, want %v", test.entry.spec(), got, test.want)
		}
	}
}

func TestCheckCronRefusesTimesThatNeverCome(t *testing.T) {
	for spec, says := range map[string]string{
		"": "empty spec", "@daily": "does not accept descriptors", "@every 1h": "does not accept descriptors",
		"* * * *": "exactly 5 fields", "* * * * * *": "exactly 5 fields", "60 * * * *": "above maximum", "0 0 30 2 *": "it never comes",
		"TZ=UTC": "five fields after the time zone", "CRON_TZ=": "five fields after the time zone", "CRON_TZ=Nowhere 0 0 * * *": "unknown time zone",
	} {
		if err := CheckCron(spec); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want an error that says %q", spec, err, says)
		}
	}
	for _, spec := range []string{"* * * * *", "*/5 0-6 1,15 jan mon-fri", "TZ=UTC 30 2 * * *", "CRON_TZ=UTC 30 2 * * *"} {
		if err := CheckCron(spec); err != nil {
			t.Errorf("%q: %v", spec, err)
		}
	}
	w := &Worker{Queue: NewQueue(newFakeRedis(t).client), Archive: openArchive(t), Schedule: []ScheduleEntry{cronEntry(t, "never")}}
	if err := w.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "keep the schedule: ") {
		t.Errorf("a worker with a time that can't be read ended with %v", err)
	}
}

// Each listing of the schedule leaves its outcome in the ledger, with what is new, or the
// error; a Redis that is away says nothing of the place.
func TestAListingOfTheScheduleIsInTheLedger(t *testing.T) {
	onEachScheduler(t, func(t *testing.T, q *Queue) {
		r := newFakeLister(t, "job")
		refused := &fetch.CallError{Call: "List", Kind: fetch.ErrAuth, RequestID: "R-1"}
		r.BeforeList = func(_ context.Context, n int) error {
			return []error{nil, refused, ErrRedis, refused, refused, nil}[min(n, 6)-1]
		}
		w := r.worker(q, everyEntry(t, 2*time.Minute))
		w.Profile = func(fetch.Ref) string { return "team-a" }
		defer startWorker(t, w)()
		time.Sleep(10*time.Minute + maxRunTime)
		var got []string
		for _, line := range ledgerOf(t, r.a) {
			if line["kind"] == "listed" {
				got = append(got, fmt.Sprint(line["ref"], line["profile"], line["found"], line["new"], line["cause"], line["request_id"]))
			}
		}
		want := []string{
			fmt.Sprint(jobPlace, "team-a", 1, 1, nil, nil), fmt.Sprint(jobPlace, "team-a", nil, nil, "auth-denied", "R-1"), fmt.Sprint(jobPlace, "team-a", 1, 0, nil, nil),
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}
