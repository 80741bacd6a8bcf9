package worker

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"tallyman/fetch"
	"tallyman/verify/archive"
)

// An outageFetcher is a Fetcher whose exports fail until a time, each by an error of
// its own, and then land.
type outageFetcher struct {
	until  time.Time
	polled bool // polls fail too

	mu    sync.Mutex
	tries map[string]int           // by reference
	told  map[string][]OutageEvent // by What
}

// outagesOfOthers are what no export is to blame for, by the reference of the export
// that it befalls.
var outagesOfOthers = map[string]error{
	jobRef + "-no-answer":     &fetch.CallError{Call: "GET", Kind: fetch.ErrUnreachable},
	jobRef + "-no-such-host":  &fetch.CallError{Call: "GET", Kind: fetch.ErrNoSuchHost},
	jobRef + "-proxy-away":    &fetch.CallError{Call: "GET", Kind: fetch.ErrProxyAway},
	jobRef + "-store-fails":   &fetch.CallError{Call: "GET", Kind: fetch.ErrTemporary, Status: 503},
	jobRef + "-throttled":     &fetch.CallError{Call: "GET", Kind: fetch.ErrThrottled, Status: 429},
	jobRef + "-disk-full":     onPath(syscall.ENOSPC),
	jobRef + "-no-open-files": onPath(syscall.EMFILE),
}

// outagesBetween are on the way to the source: only a worker waits for these to pass.
var outagesBetween = map[string]error{
	jobRef + "-tls":   &fetch.CallError{Call: "GET", Kind: fetch.ErrTLS},
	jobRef + "-proxy": &fetch.CallError{Call: "GET", Kind: fetch.ErrProxy},
}

func (f *outageFetcher) try(ref fetch.Ref, fails bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !fails || !time.Now().Before(f.until) {
		return nil
	}
	f.tries[ref.String()]++
	return cmp.Or(outagesOfOthers[ref.String()], outagesBetween[ref.String()])
}

func (f *outageFetcher) Poll(_ context.Context, ref fetch.Ref) error { return f.try(ref, f.polled) }

func (f *outageFetcher) Fetch(_ context.Context, ref fetch.Ref) (*archive.Receipt, error) {
	if err := f.try(ref, true); err != nil {
		return nil, err
	}
	return &archive.Receipt{}, nil
}

// setUp gives a worker a queue, an archive and f as its Fetcher.
func (f *outageFetcher) setUp(t *testing.T, w *Worker) {
	t.Helper()
	(&scriptedFetcher{}).setUp(t, w)
	f.until, f.tries, f.told = time.Now().Add(2*time.Hour), map[string]int{}, map[string][]OutageEvent{}
	w.Fetcher, w.OnOutage = f, func(e OutageEvent) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.told[e.What] = append(f.told[e.What], e)
	}
}

// check holds what was told to one line when each outage begins, one an hour, and
// one when it ends; and the tries of each export to a backoff of a minute.
func (f *outageFetcher) check(t *testing.T, exports map[string]error, causes int) {
	t.Helper()
	if len(f.told) != causes {
		t.Errorf("%d outages were told of, want %d: %v", len(f.told), causes, f.told)
	}
	for what, told := range f.told {
		last := told[len(told)-1]
		if len(told) < 2 || len(told) > 4 || told[0].Lasted != 0 || told[0].Err == nil || last.Err != nil || last.Lasted < 119*time.Minute {
			t.Errorf("%s: told %+v", what, told)
		}
	}
	for ref := range exports {
		if n := f.tries[ref]; n < 60 || n > 220 {
			t.Errorf("%s: %d tries in two hours", ref, n)
		}
	}
}

func TestAPatientCommandWaitsOutTwoHoursOfOutage(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it takes two hours")
	}
	synctest.Test(t, func(t *testing.T) {
		f := &outageFetcher{polled: true}
		w := &Worker{Wait: 24 * time.Hour, PollInterval: 2 * time.Second, TaskCheckInterval: 30 * time.Second, Patient: true}
		f.setUp(t, w)
		l := StartLocal(w)
		defer l.Close()
		var all sync.WaitGroup
		for ref := range outagesOfOthers {
			all.Go(func() {
				if _, err := l.Fetch(t.Context(), parseRef(t, ref)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		f.check(t, outagesOfOthers, 4)
	})
}

func TestAWorkerWaitsOutTwoHoursOfOutage(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it takes two hours")
	}
	synctest.Test(t, func(t *testing.T) {
		exports := maps.Clone(outagesOfOthers)
		maps.Copy(exports, outagesBetween)
		f, ended := &outageFetcher{}, make(chan error, len(exports))
		w := &Worker{Wait: Forever, PollInterval: 2 * time.Second, TaskCheckInterval: 30 * time.Second, Attempts: 2}
		f.setUp(t, w)
		w.OnEnd = func(_ fetch.Ref, _ *archive.Receipt, err error) { ended <- err }
		for ref := range exports {
			mustEnqueue(t, w.Queue, parseRef(t, ref))
		}
		defer startWorker(t, w)()
		time.Sleep(time.Until(f.until) - time.Minute)
		for ref := range exports {
			if state, _, err := w.Archive.State(parseRef(t, ref).Key()); err != nil || state.Attempts != 0 || len(state.Failures) != 0 || state.Phase != archive.Waiting {
				t.Errorf("%s, before it is over: %+v, %v", ref, state, err)
			}
		}
		for range exports {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		f.check(t, exports, 6)
	})
}

// The wait that was asked for ends with an outage that does not.
func TestPatienceEndsWithTheWait(t *testing.T) {
	if testing.Short() {
		t.Skip("hours of simulated time")
	}
	t.Parallel()
	for _, ref := range []string{jobRef + "-no-answer", jobRef + "-disk-full"} {
		s := &scriptedFetcher{ends: []error{outagesOfOthers[ref]}}
		if got := s.runLocal(t, &Worker{Wait: 10 * time.Minute, PollInterval: 2 * time.Second, TaskCheckInterval: 5 * time.Second, Patient: true}); !errors.Is(got, s.ends[0]) {
			t.Errorf("ended with %v", got)
		}
		if last := s.times[len(s.times)-1].Sub(s.began); last < 10*time.Minute || last > 11*time.Minute {
			t.Errorf("the last try was at %v", last)
		}
	}
}

// What another try does not mend is not waited for, and --attempts of a command
// bounds what is.
func TestPatienceIsForOutagesAlone(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err             error
		attempts, tries int
	}{
		"mismatch": {mismatchErr, 0, 3}, "auth": {fetch.ErrAuth, 0, 1}, "tls": {fetch.ErrTLS, 0, 2}, "proxy": {fetch.ErrProxy, 0, 2}, "disk": {onPath(syscall.EIO), 0, 1},
		"network, bounded": {networkErr, 4, 4}, "no answer, bounded": {outagesOfOthers[jobRef+"-no-answer"], 20, 20}, "mismatch, bounded": {mismatchErr, 2, 2}, "mismatch, beyond": {mismatchErr, 20, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &scriptedFetcher{ends: []error{tt.err}}
			if err := s.runLocal(t, &Worker{Wait: 24 * time.Hour, PollInterval: time.Second, TaskCheckInterval: 2 * time.Second, Patient: true, Attempts: tt.attempts}); !errors.Is(err, tt.err) || len(s.times) != tt.tries {
				t.Errorf("%d tries, want %d; %v", len(s.times), tt.tries, err)
			}
		})
	}
}

// Who waits for a job over night waits out what may pass meanwhile, too.
func TestAnOutageDuringTheWaitForAJobIsWaitedOut(t *testing.T) {
	if testing.Short() {
		t.Skip("hours of simulated time")
	}
	t.Parallel()
	ends := append(repeat(jobRunning, 5), repeat(outagesOfOthers[jobRef+"-no-answer"], 30)...)
	s := &scriptedFetcher{ends: append(append(ends, jobRunning), nil)}
	if err := s.runLocal(t, &Worker{Wait: 24 * time.Hour, PollInterval: 2 * time.Second, TaskCheckInterval: 2 * time.Second}); err != nil {
		t.Error(err)
	}
}

// A service that asks for an hour gets it, and the person is told.
func TestAnHourOfRetryAfterIsTold(t *testing.T) {
	if testing.Short() {
		t.Skip("hours of simulated time")
	}
	t.Parallel()
	var told []string
	s := &scriptedFetcher{ends: []error{&fetch.CallError{Call: "GET", Kind: fetch.ErrThrottled, RetryAfter: time.Hour}, nil}}
	w := &Worker{Wait: 24 * time.Hour, PollInterval: 2 * time.Second, TaskCheckInterval: 20 * time.Second, Patient: true, OnOutage: func(e OutageEvent) { told = append(told, e.String()) }}
	if err := s.runLocal(t, w); err != nil || s.pauses()[0] < time.Hour {
		t.Errorf("%v; %v apart", err, s.pauses())
	}
	if len(told) != 2 || told[0] != "throttled: GET: throttled: waiting for that to pass; the service asks for 1h0m0s more" {
		t.Errorf("told %q", told)
	}
}

// Nobody waits for longer than the wait that is left since a service asks, nor tries
// again before, and the person is told at once.
func TestARetryAfterIsHonouredWithinTheWait(t *testing.T) {
	t.Parallel()
	for _, attempts := range []int{0, 20} {
		var told []string
		s := &scriptedFetcher{ends: []error{&fetch.CallError{Call: "GET", Kind: fetch.ErrThrottled, RetryAfter: time.Hour}}}
		w := &Worker{Wait: 10 * time.Minute, PollInterval: 2 * time.Second, TaskCheckInterval: 5 * time.Second, Patient: true, Attempts: attempts}
		w.OnOutage = func(e OutageEvent) { told = append(told, e.String()) }
		if err := s.runLocal(t, w); !errors.Is(err, s.ends[0]) || len(s.times) != 2 || s.pauses()[0].Round(time.Minute) != 10*time.Minute {
			t.Errorf("%v; %v apart", err, s.pauses())
		}
		if said := strings.Join(append(told, s.notes...), "\n"); !strings.Contains(said, "the service asks ") || !strings.Contains(said, " 1h0m0s") {
			t.Errorf("told %q", said)
		}
	}
}

// Without a wait, a short one is honoured and a long one ends the attempts at once.
func TestARetryAfterWithoutAWait(t *testing.T) {
	t.Parallel()
	for asked, want := range map[time.Duration]int{3 * time.Second: 10, time.Hour: 1} {
		s := &scriptedFetcher{ends: []error{&fetch.CallError{Call: "GET", Kind: fetch.ErrThrottled, RetryAfter: asked}}}
		if err := s.runLocal(t, &Worker{}); !errors.Is(err, s.ends[0]) || len(s.times) != want {
			t.Errorf("asked for %v: %d attempts, want %d: %v", asked, len(s.times), want, err)
		}
		for _, pause := range s.pauses() {
			if pause < asked {
				t.Errorf("asked for %v, and waited for %v", asked, pause)
			}
		}
	}
}

// A disk that is full when an export is asked for is waited out by who is patient, as
// one that is full later on. Only root may mount one.
func TestADiskThatIsFullAtTheBeginningIsWaitedOut(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		patient bool
		wait    time.Duration
		room    time.Duration // until there is some
		ended   time.Duration
		err     error
		told    int
	}{
		"patient":   {true, 24 * time.Hour, 90 * time.Minute, 90 * time.Minute, nil, 3},
		"too long":  {true, 10 * time.Minute, time.Hour, 10 * time.Minute, syscall.ENOSPC, 1},
		"impatient": {false, 24 * time.Hour, time.Hour, 0, syscall.ENOSPC, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, ref := t.TempDir(), parseRef(t, jobRef)
			if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", dir).CombinedOutput(); err != nil {
				t.Skipf("no file system can be mounted here: %s", out)
			}
			t.Cleanup(func() { exec.Command("umount", dir).Run() })
			a, err := archive.Open(dir, "", archive.SiteEmpty)
			if err != nil {
				t.Fatal(err)
			}
			fill := filepath.Join(dir, "fill")
			if err := os.WriteFile(fill, make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				var told []OutageEvent
				s, w := &scriptedFetcher{ends: []error{nil}}, &Worker{
					Wait: tt.wait, Patient: tt.patient, PollInterval: 2 * time.Second, TaskCheckInterval: 30 * time.Second,
					OnOutage: func(e OutageEvent) { told = append(told, e) },
				}
				s.setUp(t, w)
				w.Archive = a
				l := StartLocal(w)
				defer l.Close()
				time.AfterFunc(tt.room, func() { os.Remove(fill) })
				_, err := l.Fetch(t.Context(), ref)
				if took := time.Since(s.began); !errors.Is(err, tt.err) || took < tt.ended || took > tt.ended+2*maxPollInterval {
					t.Errorf("it ended after %v with %v", took, err)
				}
				if len(told) != tt.told || tt.err == nil && told[len(told)-1].Err != nil {
					t.Errorf("told %+v", told)
				}
				state, _, err := a.State(ref.Key())
				if tt.err == nil && (err != nil || state.Attempts != 0 || time.Since(state.Asked) < tt.room) {
					t.Errorf("%+v, %v", state, err)
				}
			})
		})
	}
}
