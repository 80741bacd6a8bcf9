package fetch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tallyman/verify"
	"tallyman/verify/archive"
)

const (
	servicePlace = "sls://cn-hangzhou/project/"
	otherPlace   = "sls://cn-hangzhou/other/"
)

// A fakeService is a Provider and a Lister of jobs. All are Running but those in
// states. Each call takes a delay.
type fakeService struct {
	mu         sync.Mutex
	jobs       map[string][]string // by place, newest first
	states     map[string]State    // by name
	calls      int                 // of Export
	pages      int                 // of listings
	lists      []time.Time         // when each listing began
	delay      time.Duration       // of each call and each page
	listErr    error               // fails every listing at failPage
	failPage   int
	lastErr    error // every listing yields it after all jobs
	listPanics bool
	stale      bool   // listings say that each job is running
	beforePage func() // called before each page
}

func (s *fakeService) state(name string) State {
	if state, ok := s.states[name]; ok {
		return state
	}
	return Running
}

// Export implements Provider.
func (s *fakeService) Export(ctx context.Context, ref Ref) (*Export, error) {
	if err := s.sleep(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	name := ref.name()
	if state := s.state(name); state != Ready {
		return &Export{State: state, Status: "ASKED", Percent: 7}, nil
	}
	return &Export{State: Ready, Status: "ASKED", Objects: func(func(Object, error) bool) {}}, nil
}

// List implements Lister. It lists by offset, so that jobs which are added
// meanwhile shift the pages.
func (s *fakeService) List(ctx context.Context, place Ref, _ time.Time) iter.Seq2[Listed, error] {
	return func(yield func(Listed, error) bool) {
		s.mu.Lock()
		s.lists = append(s.lists, time.Now())
		s.mu.Unlock()
		seen := map[string]bool{}
		for offset := 0; ; offset += jobsPerPage {
			page, err := s.page(ctx, place, offset)
			if err != nil {
				yield(Listed{}, err)
				return
			}
			for _, job := range page {
				if seen[job.Ref.name()] {
					continue
				}
				seen[job.Ref.name()] = true
				if !yield(job, nil) {
					return
				}
			}
			if len(page) < jobsPerPage {
				break
			}
		}
		if s.lastErr != nil {
			yield(Listed{}, s.lastErr)
		}
	}
}

func (s *fakeService) page(ctx context.Context, place Ref, offset int) (page []Listed, err error) {
	if err := s.sleep(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pages++
	if s.beforePage != nil {
		s.beforePage()
	}
	switch {
	case s.listPanics:
		panic("an answer that nobody foresaw")
	case s.listErr != nil && offset >= s.failPage*jobsPerPage:
		return nil, s.listErr
	}
	jobs := s.jobs[place.String()]
	for _, name := range jobs[min(offset, len(jobs)):min(offset+jobsPerPage, len(jobs))] {
		state := s.state(name)
		if s.stale {
			state = Running
		}
		page = append(page, Listed{Ref: jobIn(place, name), State: state, Status: "LISTED"})
	}
	return page, nil
}

func (s *fakeService) set(state State, names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		s.states[name] = state
	}
}

func (s *fakeService) setBeforePage(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beforePage = do
}

// setDelay sets how long a call takes from now on.
func (s *fakeService) setDelay(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay = d
}

// sleep waits for the delay of a call.
func (s *fakeService) sleep(ctx context.Context) error {
	s.mu.Lock()
	d := s.delay
	s.mu.Unlock()
	return Sleep(ctx, d)
}

// takeCounts returns how many calls were made since it was last called, and how many
// of them listed a page.
func (s *fakeService) takeCounts() (calls, pages int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls, pages = s.calls+s.pages, s.pages
	s.calls, s.pages = 0, 0
	return calls, pages
}

func (s *fakeService) listings() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.lists)
}

// jobNames returns n names, the newest first.
func jobNames(prefix string, n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("%s-%d", prefix, n-i))
	}
	return names
}

// A poller asks a StatusCache for jobs of a fakeService.
type poller struct {
	*testing.T
	*fakeService
	cache *StatusCache
	place Ref
}

// jobIn is Ref.Job without its checks, which take too long for many jobs.
func jobIn(place Ref, name string) Ref {
	place.parts = append(place.parts[:len(place.parts)-1:len(place.parts)-1], name)
	return place
}

// newPoller makes a poller of a fakeService with those jobs. Calls take 10 ms.
func newPoller(t *testing.T, jobs ...string) *poller {
	s := &fakeService{jobs: map[string][]string{servicePlace: jobs}, states: map[string]State{}, delay: 10 * time.Millisecond}
	caches := StatusCaches(map[string]Provider{"sls": s}, func(Ref) string { return "" })
	return &poller{t, s, caches["sls"].(*StatusCache), parsePlaceOf(t, servicePlace)}
}

func (j *poller) ask(ctx context.Context, name string) (*Export, error) {
	return j.cache.Export(ctx, jobIn(j.place, name))
}

// poll asks for the jobs, 16 at a time, and returns the answers by name. An error
// fails the test.
func (j *poller) poll(names ...string) map[string]*Export {
	j.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	answers := map[string]*Export{}
	slots := make(chan struct{}, 16)
	for _, name := range names {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			export, err := j.ask(j.Context(), name)
			if err != nil {
				j.Errorf("%s: %v", name, err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			answers[name] = export
		})
	}
	all.Wait()
	return answers
}

// skipChecks has the cache check no answer of the current listing by a call.
func (j *poller) skipChecks() {
	j.cache.mu.Lock()
	defer j.cache.mu.Unlock()
	j.cache.watches[servicePlace].checks = 0
}

// countListed returns how many of the answers come from a listing.
func countListed(answers map[string]*Export) (n int) {
	for _, export := range answers {
		if export.Status == "LISTED" {
			n++
		}
	}
	return n
}

func inSynctest(t *testing.T, test func(*testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test(t)
		time.Sleep(listingTimeout) // until no listing is being made
	})
}

func TestFewJobsAreAskedForOneByOne(t *testing.T) {
	inSynctest(t, func(t *testing.T) {
		jobs := jobNames("job", minAwaited-1)
		j := newPoller(t, jobs...)
		for range 3 {
			j.poll(jobs...)
			time.Sleep(time.Minute)
		}
		if calls, pages := j.takeCounts(); calls != 3*len(jobs) || pages != 0 {
			t.Errorf("%d calls, %d of them pages", calls, pages)
		}
	})
}

func TestOneListingAnswersForManyJobs(t *testing.T) {
	inSynctest(t, func(t *testing.T) {
		jobs := jobNames("job", 50)
		j := newPoller(t, jobs...)
		j.set(Pending, "job-7")
		j.poll(jobs...)
		time.Sleep(time.Minute)
		j.takeCounts()
		answers := j.poll(jobs...)
		if calls, pages := j.takeCounts(); calls > 3 || pages != 1 || countListed(answers) < len(jobs)-2 { // an answer or two are checked
			t.Errorf("%d calls, %d of them pages, %d answers", calls, pages, countListed(answers))
		}
		for name, state := range map[string]State{"job-7": Pending, "job-8": Running} {
			got := answers[name]
			if got.State != state || got.Status == "LISTED" && (got.Percent != -1 || got.Records != verify.Unknown || got.Objects != nil) {
				t.Errorf("%s: %+v", name, got)
			}
		}
	})
}

func TestAJobThatHasEndedIsAskedForByItself(t *testing.T) {
	for _, state := range []State{Ready, Failed, Expired, ""} {
		inSynctest(t, func(t *testing.T) {
			jobs := jobNames("job", 50)
			j := newPoller(t, jobs...)
			j.poll(jobs...)
			j.set(state, "job-9")
			time.Sleep(time.Minute)
			j.takeCounts()
			answers := j.poll(jobs...)
			if calls, _ := j.takeCounts(); calls > 4 || countListed(answers) < len(jobs)-3 {
				t.Errorf("%q: %d calls, %d answers of a listing", state, calls, countListed(answers))
			}
			if got := answers["job-9"]; got.State != state || got.Status != "ASKED" || (state == Ready) != (got.Objects != nil) {
				t.Errorf("%q: %+v", state, got)
			}
		})
	}
}

func TestTheListingsOfFewPagesAreTwoSecondsApart(t *testing.T) {
	inSynctest(t, func(t *testing.T) {
		jobs := jobNames("job", 50)
		j := newPoller(t, jobs...)
		for range 200 {
			j.poll(jobs...)
			time.Sleep(300 * time.Millisecond)
		}
		for i := 1; i < len(j.lists); i++ {
			if apart := j.lists[i].Sub(j.lists[i-1]); apart < minGoodFor {
				t.Errorf("two began %v apart", apart)
			}
		}
		if calls, _ := j.takeCounts(); calls > 2*len(jobs) {
			t.Errorf("%d calls for %d jobs in a minute", calls, len(jobs))
		}
	})
}

func TestAListingEndsOnceTheAwaitedJobsHaveCome(t *testing.T) {
	inSynctest(t, func(t *testing.T) {
		jobs, old := jobNames("job", 150), jobNames("old", 5000)
		j := newPoller(t, slices.Concat(jobs, old)...)
		j.set(Ready, old...)
		j.poll(jobs...)
		time.Sleep(time.Minute)
		j.takeCounts()
		if j.poll(jobs...); j.listings() == 0 {
			t.Fatal("nothing was listed")
		}
		if calls, pages := j.takeCounts(); calls > pages+1 || pages > 3 {
			t.Errorf("%d calls, %d of them pages", calls, pages)
		}
	})
}

func TestAListingThatSavesNoCallsIsNotSoonRepeated(t *testing.T) {
	inSynctest(t, func(t *testing.T) {
		old, jobs := jobNames("old", 5000), jobNames("job", 40)
		j := newPoller(t, slices.Concat(old, jobs)...)
		j.set(Ready, old...)
		for range 5 {
			j.poll(jobs...)
			time.Sleep(time.Minute)
		}
		if calls, pages := j.takeCounts(); pages > len(jobs) || calls != 5*len(jobs)+pages {
			t.Errorf("%d calls, %d of them pages", calls, pages)
		}
	})
}

func TestAJobThatNoListingNamesIsAskedForByItself(t *testing.T) {
	inSynctest(t, func(t *testing.T) {
		jobs, old := jobNames("job", 50), jobNames("old", 2000)
		j := newPoller(t, slices.Concat(jobs, old)...)
		j.set(Ready, old...)
		jobs = append(jobs, "hidden")
		j.poll(jobs...)
		for round := range 4 {
			time.Sleep(time.Minute)
			before := j.listings()
			j.takeCounts()
			answers := j.poll(jobs...)
			calls, pages := j.takeCounts()
			if countListed(answers) < 43 || answers["hidden"].Status != "ASKED" || calls > pages+8 || j.listings() != before+1 {
				t.Errorf("round %d: %d calls, %d of them pages, %d answers of a listing", round, calls, pages, countListed(answers))
			}
			if round > 0 && pages > 2 {
				t.Errorf("round %d: a listing looked for it once more: %d pages", round, pages)
			}
		}
	})
}

func TestAJobThatListingsBeginToNameIsAnsweredFromThem(t *testing.T) {
	inSynctest(t, func(t *testing.T) {
		jobs := jobNames("job", 50)
		j := newPoller(t, jobs[1:]...)
		j.poll(jobs...)
		for range 2 {
			time.Sleep(time.Minute)
			j.poll(jobs...) // so the cache learns that no listing names it
			j.skipChecks()
		}
		j.jobs[servicePlace] = jobs
		time.Sleep(time.Minute)
		if n := countListed(j.poll(jobs[1:]...)); n < 48 {
			t.Errorf("%d answers of a listing", n)
		}
		j.skipChecks()
		if n := countListed(j.poll(jobs[0])); n != 1 {
			t.Error("it was asked for by itself once more")
		}
	})
}

// Some answers of each listing are checked by a call for the job itself.
func TestStaleListingsDoNotHideTheEndOfJobs(t *testing.T) {
	inSynctest(t, func(t *testing.T) {
		jobs := jobNames("job", 1000)
		j := newPoller(t, jobs...)
		j.stale = true
		j.poll(jobs...)
		j.set(Ready, jobs...)
		waiting := jobs
		for minutes := 0; len(waiting) > 0; minutes++ {
			time.Sleep(time.Minute)
			answers := j.poll(waiting...)
			waiting = slices.DeleteFunc(slices.Clone(waiting), func(name string) bool { return answers[name].State == Ready })
			if minutes == 10 {
				t.Fatalf("%d jobs are waited for after %d minutes", len(waiting), minutes)
			}
		}
	})
}

func TestAJobThatNobodyAsksForAnyMoreIsNotAwaited(t *testing.T) {
	inSynctest(t, func(t *testing.T) {
		jobs := jobNames("job", 100)
		j := newPoller(t, jobs...)
		j.poll(jobs...)
		j.set(Ready, jobs[:60]...)
		for range 2 {
			time.Sleep(time.Minute)
			j.poll(jobs[60:]...)
		}
		if n := len(j.cache.watches[servicePlace].awaited); n != 40 {
			t.Errorf("%d jobs are awaited", n)
		}
	})
}

// Each job is polled about once a minute.
func TestTenThousandJobsCostAHundredCallsAMinute(t *testing.T) {
	for name, order := range map[string]func([]string){
		"newest first": func([]string) {},
		"oldest first": slices.Reverse[[]string],
		"in any order": func(s []string) { rand.Shuffle(len(s), func(a, b int) { s[a], s[b] = s[b], s[a] }) },
	} {
		t.Run(name, func(t *testing.T) {
			inSynctest(t, func(t *testing.T) {
				jobs := jobNames("job", 10_000)
				if testing.Short() {
					jobs = jobs[:1000]
				}
				j := newPoller(t, jobs...)
				asked := slices.Clone(jobs)
				order(asked)
				for round, most := range []int{1000, 250, 150, 150} { // in the first rounds the cache learns of the jobs
					checkRound(j, round, asked, most)
				}
			})
		})
	}
}

// checkRound polls each job once in a minute, and wants no more than most calls.
func checkRound(j *poller, round int, jobs []string, most int) {
	j.Helper()
	const steps = 100
	for i := range steps {
		j.poll(jobs[i*len(jobs)/steps : (i+1)*len(jobs)/steps]...)
		time.Sleep(time.Minute / steps)
	}
	if calls, _ := j.takeCounts(); calls > most {
		j.Errorf("round %d: %d calls, want no more than %d", round, calls, most)
	}
}

func TestAReadyJobAmongManyIsSeenInTheNextRound(t *testing.T) {
	inSynctest(t, func(t *testing.T) {
		jobs := jobNames("job", 2000)
		j := newPoller(t, jobs...)
		j.poll(jobs...)
		for _, ready := range []string{"job-3", "job-1999"} {
			time.Sleep(time.Minute)
			j.poll(jobs...)
			j.set(Ready, ready)
			time.Sleep(time.Minute)
			if got := j.poll(jobs...)[ready]; got.State != Ready {
				t.Errorf("%s is %s", ready, got.State)
			}
		}
	})
}

// New jobs come first in a listing, and shift the others to later pages.
func TestPagesThatShiftLoseNoJob(t *testing.T) {
	inSynctest(t, func(t *testing.T) {
		jobs := jobNames("job", 1000)
		j := newPoller(t, jobs...)
		j.poll(jobs...)
		n := 0
		time.Sleep(time.Minute)
		j.setBeforePage(func() {
			n++
			j.jobs[servicePlace] = append([]string{fmt.Sprintf("new-%d", n)}, j.jobs[servicePlace]...)
		})
		j.takeCounts()
		answers := j.poll(jobs...)
		if calls, pages := j.takeCounts(); calls > pages+6 || pages > 12 || countListed(answers) < len(jobs)-6 {
			t.Errorf("%d calls, %d of them pages, %d answers of a listing", calls, pages, countListed(answers))
		}
	})
}

func TestEachPlaceHasAListingOfItsOwn(t *testing.T) {
	inSynctest(t, func(t *testing.T) {
		jobs := jobNames("job", 50)
		j := newPoller(t, jobs...)
		j.jobs[otherPlace] = jobs[:20]
		j.poll(jobs...)
		time.Sleep(time.Minute)
		j.poll(jobs...)
		j.takeCounts()
		for _, name := range jobs[:20] {
			export, err := j.cache.Export(t.Context(), parse(t, otherPlace+name))
			if err != nil || export.Status != "ASKED" {
				t.Errorf("%s of the other place: %+v, %v", name, export, err)
			}
		}
		if calls, pages := j.takeCounts(); calls != 20 || pages != 0 {
			t.Errorf("%d calls, %d of them pages", calls, pages)
		}
	})
}

// makeAwaited asks for jobs without a delay, so that the next one is asked for by a
// listing.
func (j *poller) makeAwaited(jobs []string) {
	j.setDelay(0)
	for _, name := range jobs {
		j.ask(j.Context(), name)
	}
}

// startListing asks for a job, and returns when that has begun a listing whose pages
// take a second or more. answered waits for the answer.
func (j *poller) startListing(by string) (answered func() (*Export, error)) {
	j.setDelay(max(j.delay, time.Second))
	done := make(chan struct{})
	var export *Export
	var err error
	go func() {
		defer close(done)
		export, err = j.ask(j.Context(), by)
	}()
	synctest.Wait()
	return func() (*Export, error) { <-done; return export, err }
}

func TestThePreviousListingAnswersWhileTheNextIsMade(t *testing.T) {
	inSynctest(t, func(t *testing.T) {
		jobs := jobNames("job", 300)
		j := newPoller(t, jobs...)
		j.poll(jobs...)
		time.Sleep(time.Minute)
		j.poll(jobs...)
		time.Sleep(3 * time.Second) // a listing lasts for 2.4 s
		j.skipChecks()
		answered := j.startListing("job-1")
		began := time.Now()
		answers := j.poll(jobs...)
		answered()
		if time.Since(began) != 0 || countListed(answers) != len(jobs) || j.listings() < 2 {
			t.Errorf("%d answers after %v, of %d listings", countListed(answers), time.Since(began), j.listings())
		}
		time.Sleep(time.Minute)
	})
}

func TestACallerThatWaitsForAListingIsAnsweredWhenItsPageArrives(t *testing.T) {
	inSynctest(t, func(t *testing.T) {
		jobs := jobNames("job", 500)
		j := newPoller(t, jobs...)
		j.makeAwaited(jobs[:minAwaited])
		answered := j.startListing(jobs[0])
		j.takeCounts()
		for i, want := range map[int]time.Duration{50: 1, 250: 3, 450: 5} {
			began := time.Now()
			go func() {
				export, err := j.ask(t.Context(), jobs[i])
				if took := time.Since(began); err != nil || export.Status != "LISTED" || took != want*time.Second {
					t.Errorf("%s: %+v and %v after %v, want %d s", jobs[i], export, err, took, want)
				}
			}()
		}
		answered()
	})
}

func TestAJobThatTheListingDoesNotNameIsThenAskedFor(t *testing.T) {
	inSynctest(t, func(t *testing.T) {
		j := newPoller(t, jobNames("job", 50)...)
		j.makeAwaited(jobNames("job", minAwaited))
		answered := j.startListing("job-1")
		j.takeCounts()
		export, err := j.ask(t.Context(), "hidden")
		if err != nil || export.Status != "ASKED" {
			t.Errorf("%+v, %v", export, err)
		}
		answered()
		if calls, pages := j.takeCounts(); calls != 2 || pages != 1 {
			t.Errorf("%d calls, %d of them pages", calls, pages)
		}
	})
}

func TestAListingGoesOnWhenItsFirstCallerIsCancelled(t *testing.T) {
	inSynctest(t, func(t *testing.T) {
		j := newPoller(t, jobNames("job", 50)...)
		j.makeAwaited(jobNames("job", minAwaited))
		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		j.setDelay(time.Second)
		time.AfterFunc(500*time.Millisecond, func() { cancel(why) })
		go func() {
			time.Sleep(100 * time.Millisecond)
			if export, err := j.ask(t.Context(), "job-2"); err != nil || export.Status != "LISTED" {
				t.Errorf("who asked later: %+v, %v", export, err)
			}
		}()
		if _, err := j.ask(ctx, "job-1"); !errors.Is(err, why) {
			t.Errorf("%v, want %v", err, why)
		}
	})
}

func TestAListingIsBoundedInTime(t *testing.T) {
	inSynctest(t, func(t *testing.T) {
		j := newPoller(t, jobNames("job", 50)...)
		j.makeAwaited(jobNames("job", minAwaited))
		j.setDelay(time.Hour)
		answered := j.startListing("job-1")
		began := time.Now()
		if export, err := answered(); err != nil || export.Status != "ASKED" {
			t.Errorf("%+v, %v", export, err)
		}
		if took := time.Since(began); took != listingTimeout+j.delay {
			t.Errorf("it was asked after %v", took)
		}
	})
}

func TestAListingThatFailedIsNoAnswer(t *testing.T) {
	for name, fail := range map[string]func(*fakeService){
		"denied":               func(s *fakeService) { s.listErr = &CallError{Call: "ListJobs", Kind: ErrAuth} },
		"at its second page":   func(s *fakeService) { s.listErr, s.failPage = &CallError{Call: "ListJobs", Kind: ErrTemporary}, 1 },
		"refused at its first": func(s *fakeService) { s.listErr = &CallError{Call: "ListJobs", Kind: ErrRefused} },
		"panicking":            func(s *fakeService) { s.listPanics = true },
	} {
		t.Run(name, func(t *testing.T) {
			inSynctest(t, func(t *testing.T) {
				jobs := jobNames("job", 1000)
				j := newPoller(t, jobs...)
				fail(j.fakeService)
				for range 2 * 60 { // an hour
					j.poll(jobs[900:940]...) // which fails the test if one is not answered
					time.Sleep(30 * time.Second)
				}
				if n := j.listings(); n < 8 || n > 14 {
					t.Errorf("%d listings in an hour", n)
				}
				for i := 1; i < len(j.lists); i++ {
					if apart := j.lists[i].Sub(j.lists[i-1]); apart < firstPause<<min(i-1, maxPauseDoublings) {
						t.Errorf("listings %d and %d began %v apart", i-1, i, apart)
					}
				}
			})
		})
	}
}

func TestAThrottledListingThrottlesItsCallers(t *testing.T) {
	inSynctest(t, func(t *testing.T) {
		j := newPoller(t, jobNames("job", 50)...)
		j.makeAwaited(jobNames("job", minAwaited))
		j.takeCounts()
		j.listErr = &CallError{Call: "ListJobs", Kind: ErrThrottled, RetryAfter: 30 * time.Second}
		for _, answered := range []func() (*Export, error){j.startListing("job-1"), j.startListing("job-2")} {
			if _, err := answered(); !errors.Is(err, ErrThrottled) || RetryAfter(err) != 30*time.Second {
				t.Errorf("%v, after %v", err, RetryAfter(err))
			}
		}
		j.setDelay(0)
		time.Sleep(29 * time.Second)
		j.poll(jobNames("job", minAwaited)...)
		if n := j.listings(); n != 1 {
			t.Errorf("%d listings within the time that the service asked for", n)
		}
	})
}

func TestAListingWithUnusableNamesAnswersForTheOthers(t *testing.T) {
	inSynctest(t, func(t *testing.T) {
		jobs := jobNames("job", 50)
		j := newPoller(t, jobs...)
		j.lastErr = &CallError{Call: "ListJobs", Kind: ErrRefused, Message: "names of jobs that no reference can hold"}
		j.poll(jobs...)
		time.Sleep(time.Minute)
		j.takeCounts()
		if n := countListed(j.poll(jobs...)); n < len(jobs)-2 {
			t.Errorf("%d answers of a listing", n)
		}
	})
}

func TestJobsAndPlacesThatNobodyAsksForAreForgotten(t *testing.T) {
	inSynctest(t, func(t *testing.T) {
		jobs := jobNames("job", 500)
		j := newPoller(t, jobs...)
		j.jobs[otherPlace] = jobs
		other := parse(t, otherPlace+"job-1")
		for range 3 {
			j.poll(jobs...)
			time.Sleep(time.Minute)
		}
		if n := len(j.cache.watches[servicePlace].awaited); n != len(jobs) {
			t.Errorf("%d jobs are awaited", n)
		}
		for range 10 {
			time.Sleep(time.Minute)
			j.ask(t.Context(), "job-1")
			j.cache.Export(t.Context(), other)
		}
		if w := j.cache.watches[servicePlace]; len(w.awaited) != 1 || w.last != nil {
			t.Errorf("%d jobs are awaited, and the last listing is %v", len(w.awaited), w.last)
		}
		j.set(Ready, "job-1")
		j.ask(t.Context(), "job-1")
		j.cache.Export(t.Context(), other)
		if n := len(j.cache.watches); n != 0 {
			t.Errorf("%d places are kept", n)
		}
	})
}

func TestJobsOfAnotherAccountThanThePlaceAreAskedForOneByOne(t *testing.T) {
	inSynctest(t, func(t *testing.T) {
		jobs := jobNames("job", 50)
		j := newPoller(t, jobs...)
		j.cache.account = func(ref Ref) string {
			if ref.IsPlace() {
				return ""
			}
			return "theirs"
		}
		for range 3 {
			j.poll(jobs...)
			time.Sleep(time.Minute)
		}
		if calls, pages := j.takeCounts(); calls != 150 || pages != 0 || len(j.cache.watches) != 0 {
			t.Errorf("%d calls, %d of them pages", calls, pages)
		}
	})
}

// An exporter hides all methods of a Provider but Export.
type exporter struct{ Provider }

func TestOnlyAListerHasAStatusCache(t *testing.T) {
	caches := StatusCaches(map[string]Provider{"sls": &fakeService{}, "dms": exporter{&fakeService{}}}, nil)
	if len(caches) != 1 || caches["sls"] == nil {
		t.Errorf("%v", caches)
	}
	for _, s := range []string{"oss://bucket/prefix", "dms://cn-hangzhou/1/k", "https://h.example/f"} {
		if place, ok := parse(t, s).Place(); ok {
			t.Errorf("%s is in %s", s, place)
		}
	}
	if _, ok := parsePlaceOf(t, servicePlace).Place(); ok {
		t.Error("a place is in a place")
	}
}

// fetcherOf returns a fetcher whose status cache has a listing of all jobs.
func fetcherOf(j *poller, jobs []string) *Fetcher {
	a, err := archive.Open(j.TempDir(), "", archive.SiteEmpty)
	if err != nil {
		j.Fatal(err)
	}
	j.poll(jobs...)
	time.Sleep(time.Minute)
	j.poll(jobs...)
	j.skipChecks()
	j.takeCounts()
	return &Fetcher{Providers: map[string]Provider{"sls": j.fakeService}, StatusCaches: map[string]Provider{"sls": j.cache}, Archive: a}
}

func TestPollUsesTheStatusCacheAndFetchDoesNot(t *testing.T) {
	inSynctest(t, func(t *testing.T) {
		jobs := jobNames("job", 50)
		j := newPoller(t, jobs...)
		f := fetcherOf(j, jobs)
		ref := parse(t, servicePlace+"job-1")
		for _, tt := range []struct {
			step  func() error
			calls int
			says  string
		}{
			{func() error { return f.Poll(t.Context(), ref) }, 0, "LISTED"},
			{func() error { _, err := f.Fetch(t.Context(), ref); return err }, 1, "ASKED"},
		} {
			err := tt.step()
			waiting, ok := errors.AsType[*NotReadyError](err)
			if calls, _ := j.takeCounts(); !ok || waiting.Status != tt.says || calls != tt.calls {
				t.Errorf("%v in %d calls, want %s in %d", err, calls, tt.says, tt.calls)
			}
		}
	})
}

func TestDrainEndsTheWaitForAListing(t *testing.T) {
	inSynctest(t, func(t *testing.T) {
		jobs := jobNames("job", 50)
		j := newPoller(t, jobs...)
		f := fetcherOf(j, jobs)
		soft, drain := context.WithCancel(t.Context())
		f.Soft = soft
		time.Sleep(time.Minute)
		answered := j.startListing("job-1")
		time.AfterFunc(100*time.Millisecond, drain)
		began := time.Now()
		err := f.Poll(t.Context(), parse(t, servicePlace+"unheard-of"))
		if took := time.Since(began); !errors.Is(err, ErrDrained) || errors.Is(err, fs.ErrNotExist) || took != 100*time.Millisecond {
			t.Errorf("%v after %v", err, took)
		}
		answered()
	})
}
