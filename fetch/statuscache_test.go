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

// A fakeService is a Provider of jobs. All are Running but those in states. Calls
// and pages take a while.
type fakeService struct {
	mu      sync.Mutex
	jobs    map[string][]string // by place, newest first
	states  map[string]State    // by name
	calls   int
	pages   int
	lists   []time.Time // when each was begun
	took    time.Duration
	fails   error // every listing, at its page
	at      int
	last    error // of every listing, behind all jobs
	panics  bool
	lags    bool   // no listing tells that a job has ended
	turning func() // each page
}

func (y *fakeService) state(name string) State {
	if state, ok := y.states[name]; ok {
		return state
	}
	return Running
}

// Export implements Provider.
func (y *fakeService) Export(ctx context.Context, ref Ref) (*Export, error) {
	if err := y.wait(ctx); err != nil {
		return nil, err
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	y.calls++
	name := ref.name()
	if state := y.state(name); state != Ready {
		return &Export{State: state, Status: "ASKED", Percent: 7}, nil
	}
	return &Export{State: Ready, Status: "ASKED", Objects: func(func(Object, error) bool) {}}, nil
}

// List implements Lister: pages are taken by their offset, as they are then.
func (y *fakeService) List(ctx context.Context, place Ref, _ time.Time) iter.Seq2[Listed, error] {
	return func(yield func(Listed, error) bool) {
		y.mu.Lock()
		y.lists = append(y.lists, time.Now())
		y.mu.Unlock()
		seen := map[string]bool{}
		for offset := 0; ; offset += jobsPerPage {
			page, err := y.page(ctx, place, offset)
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
		if y.last != nil {
			yield(Listed{}, y.last)
		}
	}
}

func (y *fakeService) page(ctx context.Context, place Ref, offset int) (page []Listed, err error) {
	if err := y.wait(ctx); err != nil {
		return nil, err
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	y.pages++
	if y.turning != nil {
		y.turning()
	}
	switch {
	case y.panics:
		panic("an answer that nobody foresaw")
	case y.fails != nil && offset >= y.at*jobsPerPage:
		return nil, y.fails
	}
	jobs := y.jobs[place.String()]
	for _, name := range jobs[min(offset, len(jobs)):min(offset+jobsPerPage, len(jobs))] {
		state := y.state(name)
		if y.lags {
			state = Running
		}
		page = append(page, Listed{Ref: jobIn(place, name), State: state, Status: "LISTED"})
	}
	return page, nil
}

func (y *fakeService) set(state State, names ...string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	for _, name := range names {
		y.states[name] = state
	}
}

func (y *fakeService) onPage(do func()) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.turning = do
}

// takes is how long a call takes from now on.
func (y *fakeService) takes(d time.Duration) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.took = d
}

// wait is for the length of a call.
func (y *fakeService) wait(ctx context.Context) error {
	y.mu.Lock()
	d := y.took
	y.mu.Unlock()
	return Sleep(ctx, d)
}

// spent is how many calls were made since it was last called, and how many of
// them listed a page.
func (y *fakeService) spent() (calls, pages int) {
	y.mu.Lock()
	defer y.mu.Unlock()
	calls, pages = y.calls+y.pages, y.pages
	y.calls, y.pages = 0, 0
	return calls, pages
}

func (y *fakeService) began() int {
	y.mu.Lock()
	defer y.mu.Unlock()
	return len(y.lists)
}

// jobNames are n names, the newest first.
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

// jobIn is quicker than Ref.Job.
func jobIn(place Ref, name string) Ref {
	place.parts = append(place.parts[:len(place.parts)-1:len(place.parts)-1], name)
	return place
}

// newPoller makes one of a fakeService with those jobs. Calls take 10 ms.
func newPoller(t *testing.T, jobs ...string) *poller {
	y := &fakeService{jobs: map[string][]string{servicePlace: jobs}, states: map[string]State{}, took: 10 * time.Millisecond}
	caches := StatusCaches(map[string]Provider{"sls": y}, func(Ref) string { return "" })
	return &poller{t, y, caches["sls"].(*StatusCache), parsePlaceOf(t, servicePlace)}
}

func (j *poller) ask(ctx context.Context, name string) (*Export, error) {
	return j.cache.Export(ctx, jobIn(j.place, name))
}

// poll asks for each, some at once, and wants answers. They are by name.
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

// trust has no answer of the listings so far checked.
func (j *poller) trust() {
	j.cache.mu.Lock()
	defer j.cache.mu.Unlock()
	j.cache.watches[servicePlace].checks = 0
}

// listedOf are how many answers a listing gave.
func listedOf(answers map[string]*Export) (n int) {
	for _, export := range answers {
		if export.Status == "LISTED" {
			n++
		}
	}
	return n
}

func inBubble(t *testing.T, test func(*testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test(t)
		time.Sleep(listingTimeout) // until none is made
	})
}

func TestFewJobsAreAskedForOneByOne(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		jobs := jobNames("job", minAwaited-1)
		j := newPoller(t, jobs...)
		for range 3 {
			j.poll(jobs...)
			time.Sleep(time.Minute)
		}
		if calls, pages := j.spent(); calls != 3*len(jobs) || pages != 0 {
			t.Errorf("%d calls, %d of them pages", calls, pages)
		}
	})
}

func TestOneListingAnswersForManyJobs(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		jobs := jobNames("job", 50)
		j := newPoller(t, jobs...)
		j.set(Pending, "job-7")
		j.poll(jobs...)
		time.Sleep(time.Minute)
		j.spent()
		answers := j.poll(jobs...)
		if calls, pages := j.spent(); calls > 3 || pages != 1 || listedOf(answers) < len(jobs)-2 { // an answer or two are checked
			t.Errorf("%d calls, %d of them pages, %d answers", calls, pages, listedOf(answers))
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
		inBubble(t, func(t *testing.T) {
			jobs := jobNames("job", 50)
			j := newPoller(t, jobs...)
			j.poll(jobs...)
			j.set(state, "job-9")
			time.Sleep(time.Minute)
			j.spent()
			answers := j.poll(jobs...)
			if calls, _ := j.spent(); calls > 4 || listedOf(answers) < len(jobs)-3 {
				t.Errorf("%q: %d calls, %d answers of a listing", state, calls, listedOf(answers))
			}
			if got := answers["job-9"]; got.State != state || got.Status != "ASKED" || (state == Ready) != (got.Objects != nil) {
				t.Errorf("%q: %+v", state, got)
			}
		})
	}
}

func TestTheListingsOfFewPagesAreTwoSecondsApart(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		jobs := jobNames("job", 50)
		j := newPoller(t, jobs...)
		for range 600 {
			j.poll(jobs...)
			time.Sleep(100 * time.Millisecond)
		}
		for i := 1; i < len(j.lists); i++ {
			if apart := j.lists[i].Sub(j.lists[i-1]); apart < minGoodFor {
				t.Errorf("two began %v apart", apart)
			}
		}
		if calls, _ := j.spent(); calls > 2*len(jobs) {
			t.Errorf("%d calls for %d jobs in a minute", calls, len(jobs))
		}
	})
}

func TestAListingEndsOnceTheAwaitedJobsHaveCome(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		jobs, old := jobNames("job", 150), jobNames("old", 5000)
		j := newPoller(t, slices.Concat(jobs, old)...)
		j.set(Ready, old...)
		j.poll(jobs...)
		time.Sleep(time.Minute)
		j.spent()
		if j.poll(jobs...); j.began() == 0 {
			t.Fatal("nothing was listed")
		}
		if calls, pages := j.spent(); calls > pages+1 || pages > 3 {
			t.Errorf("%d calls, %d of them pages", calls, pages)
		}
	})
}

func TestAListingThatPaysForNothingIsNotMadeAgainSoon(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		old, jobs := jobNames("old", 5000), jobNames("job", 40)
		j := newPoller(t, slices.Concat(old, jobs)...)
		j.set(Ready, old...)
		for range 5 {
			j.poll(jobs...)
			time.Sleep(time.Minute)
		}
		if calls, pages := j.spent(); pages > len(jobs) || calls != 5*len(jobs)+pages {
			t.Errorf("%d calls, %d of them pages", calls, pages)
		}
	})
}

func TestAJobThatNoListingNamesIsAskedForByItself(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		jobs, old := jobNames("job", 50), jobNames("old", 2000)
		j := newPoller(t, slices.Concat(jobs, old)...)
		j.set(Ready, old...)
		jobs = append(jobs, "hidden")
		j.poll(jobs...)
		for round := range 4 {
			time.Sleep(time.Minute)
			before := j.began()
			j.spent()
			answers := j.poll(jobs...)
			calls, pages := j.spent()
			if listedOf(answers) < 43 || answers["hidden"].Status != "ASKED" || calls > pages+8 || j.began() != before+1 {
				t.Errorf("round %d: %d calls, %d of them pages, %d answers of a listing", round, calls, pages, listedOf(answers))
			}
			if round > 0 && pages > 2 {
				t.Errorf("round %d: a listing looked for it once more: %d pages", round, pages)
			}
		}
	})
}

func TestAJobThatListingsCameToNameIsAnsweredForByThem(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		jobs := jobNames("job", 50)
		j := newPoller(t, jobs[1:]...)
		j.poll(jobs...)
		for range 2 {
			time.Sleep(time.Minute)
			j.poll(jobs...) // so it is known not to be listed
			j.trust()
		}
		j.jobs[servicePlace] = jobs
		time.Sleep(time.Minute)
		if n := listedOf(j.poll(jobs[1:]...)); n < 48 {
			t.Errorf("%d answers of a listing", n)
		}
		j.trust()
		if n := listedOf(j.poll(jobs[0])); n != 1 {
			t.Error("it was asked for by itself once more")
		}
	})
}

// A listing that never tells of the end of a job costs time, but no job.
func TestListingsThatLagAreFoundOut(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		jobs := jobNames("job", 1000)
		j := newPoller(t, jobs...)
		j.lags = true
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

func TestAJobThatAnotherProcessSawEndIsAwaitedNoMore(t *testing.T) {
	inBubble(t, func(t *testing.T) {
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

// All of them are polled about once a minute, at times of their own.
func TestTenThousandJobsCostAHundredCallsAMinute(t *testing.T) {
	for name, order := range map[string]func([]string){
		"newest first": func([]string) {},
		"oldest first": slices.Reverse[[]string],
		"in any order": func(s []string) { rand.Shuffle(len(s), func(a, b int) { s[a], s[b] = s[b], s[a] }) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				jobs := jobNames("job", 10_000)
				if testing.Short() {
					jobs = jobs[:1000]
				}
				j := newPoller(t, jobs...)
				asked := slices.Clone(jobs)
				order(asked)
				for round, most := range []int{1000, 250, 150, 150} { // at first it gets to know them
					checkRound(j, round, asked, most)
				}
			})
		})
	}
}

// checkRound polls jobs over a minute.
func checkRound(j *poller, round int, jobs []string, most int) {
	j.Helper()
	const steps = 100
	for i := range steps {
		j.poll(jobs[i*len(jobs)/steps : (i+1)*len(jobs)/steps]...)
		time.Sleep(time.Minute / steps)
	}
	if calls, _ := j.spent(); calls > most {
		j.Errorf("round %d: %d calls, want no more than %d", round, calls, most)
	}
}

func TestAReadyJobAmongManyIsSeenInTheRoundAfter(t *testing.T) {
	inBubble(t, func(t *testing.T) {
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

// New jobs come first, and those that go leave a gap.
func TestPagesThatShiftLoseNoJob(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		jobs := jobNames("job", 1000)
		j := newPoller(t, jobs...)
		j.poll(jobs...)
		n := 0
		time.Sleep(time.Minute)
		j.onPage(func() {
			n++
			j.jobs[servicePlace] = append([]string{fmt.Sprintf("new-%d", n)}, j.jobs[servicePlace]...)
		})
		j.spent()
		answers := j.poll(jobs...)
		if calls, pages := j.spent(); calls > pages+6 || pages > 12 || listedOf(answers) < len(jobs)-6 {
			t.Errorf("%d calls, %d of them pages, %d answers of a listing", calls, pages, listedOf(answers))
		}
	})
}

func TestEachPlaceHasAListingOfItsOwn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		jobs := jobNames("job", 50)
		j := newPoller(t, jobs...)
		j.jobs[otherPlace] = jobs[:20]
		j.poll(jobs...)
		time.Sleep(time.Minute)
		j.poll(jobs...)
		j.spent()
		for _, name := range jobs[:20] {
			export, err := j.cache.Export(t.Context(), parse(t, otherPlace+name))
			if err != nil || export.Status != "ASKED" {
				t.Errorf("%s of the other place: %+v, %v", name, export, err)
			}
		}
		if calls, pages := j.spent(); calls != 20 || pages != 0 {
			t.Errorf("%d calls, %d of them pages", calls, pages)
		}
	})
}

// awaitMany asks for so many jobs that the next is a listing's matter, in no
// time.
func (j *poller) awaitMany(jobs []string) {
	j.takes(0)
	for _, name := range jobs {
		j.ask(j.Context(), name)
	}
}

// slowly makes pages take a second, and returns when a listing is being made.
func (j *poller) slowly(by string) (answered func() (*Export, error)) {
	j.takes(max(j.took, time.Second))
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

func TestWhileAListingIsMadeTheOneBeforeAnswers(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		jobs := jobNames("job", 300)
		j := newPoller(t, jobs...)
		j.poll(jobs...)
		time.Sleep(time.Minute)
		j.poll(jobs...)
		time.Sleep(3 * time.Second) // a listing lasts for 2.4 s
		j.trust()
		answered := j.slowly("job-1")
		began := time.Now()
		answers := j.poll(jobs...)
		answered()
		if time.Since(began) != 0 || listedOf(answers) != len(jobs) || j.began() < 2 {
			t.Errorf("%d answers after %v, of %d listings", listedOf(answers), time.Since(began), j.began())
		}
		time.Sleep(time.Minute)
	})
}

func TestWhoWaitsForAListingIsAnsweredAsItsPagesCome(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		jobs := jobNames("job", 500)
		j := newPoller(t, jobs...)
		j.awaitMany(jobs[:minAwaited])
		answered := j.slowly(jobs[0])
		j.spent()
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

func TestAJobThatTheListingDidNotComeToIsThenAskedFor(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		j := newPoller(t, jobNames("job", 50)...)
		j.awaitMany(jobNames("job", minAwaited))
		answered := j.slowly("job-1")
		j.spent()
		export, err := j.ask(t.Context(), "hidden")
		if err != nil || export.Status != "ASKED" {
			t.Errorf("%+v, %v", export, err)
		}
		answered()
		if calls, pages := j.spent(); calls != 2 || pages != 1 {
			t.Errorf("%d calls, %d of them pages", calls, pages)
		}
	})
}

func TestAListingOutlivesWhoFirstWantedIt(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		j := newPoller(t, jobNames("job", 50)...)
		j.awaitMany(jobNames("job", minAwaited))
		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		j.takes(time.Second)
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
	inBubble(t, func(t *testing.T) {
		j := newPoller(t, jobNames("job", 50)...)
		j.awaitMany(jobNames("job", minAwaited))
		j.takes(time.Hour)
		answered := j.slowly("job-1")
		began := time.Now()
		if export, err := answered(); err != nil || export.Status != "ASKED" {
			t.Errorf("%+v, %v", export, err)
		}
		if took := time.Since(began); took != listingTimeout+j.took {
			t.Errorf("it was asked after %v", took)
		}
	})
}

func TestAListingThatFailedIsNoAnswer(t *testing.T) {
	for name, fail := range map[string]func(*fakeService){
		"denied":               func(y *fakeService) { y.fails = &CallError{Call: "ListJobs", Kind: ErrAuth} },
		"at its second page":   func(y *fakeService) { y.fails, y.at = &CallError{Call: "ListJobs", Kind: ErrTemporary}, 1 },
		"refused at its first": func(y *fakeService) { y.fails = &CallError{Call: "ListJobs", Kind: ErrRefused} },
		"panicking":            func(y *fakeService) { y.panics = true },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				jobs := jobNames("job", 1000)
				j := newPoller(t, jobs...)
				fail(j.fakeService)
				for range 10 * 60 { // an hour
					j.poll(jobs[900:940]...) // wants each to be answered
					time.Sleep(6 * time.Second)
				}
				if n := j.began(); n < 8 || n > 14 {
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

func TestAListingThatWasThrottledThrottlesThoseWhoWaitForIt(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		j := newPoller(t, jobNames("job", 50)...)
		j.awaitMany(jobNames("job", minAwaited))
		j.spent()
		j.fails = &CallError{Call: "ListJobs", Kind: ErrThrottled, RetryAfter: 30 * time.Second}
		for _, answered := range []func() (*Export, error){j.slowly("job-1"), j.slowly("job-2")} {
			if _, err := answered(); !errors.Is(err, ErrThrottled) || RetryAfter(err) != 30*time.Second {
				t.Errorf("%v, after %v", err, RetryAfter(err))
			}
		}
		j.takes(0)
		time.Sleep(29 * time.Second)
		j.poll(jobNames("job", minAwaited)...)
		if n := j.began(); n != 1 {
			t.Errorf("%d listings within the time that the service asked for", n)
		}
	})
}

func TestNamesThatNoReferenceCanHoldSpoilNoListing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		jobs := jobNames("job", 50)
		j := newPoller(t, jobs...)
		j.last = &CallError{Call: "ListJobs", Kind: ErrRefused, Message: "names of jobs that no reference can hold"}
		j.poll(jobs...)
		time.Sleep(time.Minute)
		j.spent()
		if n := listedOf(j.poll(jobs...)); n < len(jobs)-2 {
			t.Errorf("%d answers of a listing", n)
		}
	})
}

func TestWhatNobodyAsksForIsForgotten(t *testing.T) {
	inBubble(t, func(t *testing.T) {
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

func TestAnotherAccountThanThePlacesPassesThrough(t *testing.T) {
	inBubble(t, func(t *testing.T) {
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
		if calls, pages := j.spent(); calls != 150 || pages != 0 || len(j.cache.watches) != 0 {
			t.Errorf("%d calls, %d of them pages", calls, pages)
		}
	})
}

// exporter hides all but a Provider's one method.
type exporter struct{ Provider }

func TestOnlyAProviderThatListsHasABoard(t *testing.T) {
	caches := StatusCaches(map[string]Provider{"sls": &fakeService{}, "dms": exporter{&fakeService{}}}, nil)
	if len(caches) != 1 || caches["sls"] == nil {
		t.Errorf("%v", caches)
	}
	for _, s := range []string{"oss://bucket/prefix", "dms://cn-hangzhou/1/k", "https://h.example/f"} {
		if place, ok := parse(t, s).place(); ok {
			t.Errorf("%s is in %s", s, place)
		}
	}
	if _, ok := parsePlaceOf(t, servicePlace).place(); ok {
		t.Error("a place is in a place")
	}
}

// fetcherOf is one of a place of many jobs, with a listing of them all.
func fetcherOf(j *poller, jobs []string) *Fetcher {
	a, err := archive.Open(j.TempDir())
	if err != nil {
		j.Fatal(err)
	}
	j.poll(jobs...)
	time.Sleep(time.Minute)
	j.poll(jobs...)
	j.trust()
	j.spent()
	return &Fetcher{Providers: map[string]Provider{"sls": j.fakeService}, StatusCaches: map[string]Provider{"sls": j.cache}, Archive: a}
}

func TestAskAsksTheBoardAndFetchDoesNot(t *testing.T) {
	inBubble(t, func(t *testing.T) {
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
			if calls, _ := j.spent(); !ok || waiting.Status != tt.says || calls != tt.calls {
				t.Errorf("%v in %d calls, want %s in %d", err, calls, tt.says, tt.calls)
			}
		}
	})
}

func TestDrainEndsTheWaitForAListing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		jobs := jobNames("job", 50)
		j := newPoller(t, jobs...)
		f := fetcherOf(j, jobs)
		soft, drain := context.WithCancel(t.Context())
		f.Soft = soft
		time.Sleep(time.Minute)
		answered := j.slowly("job-1")
		time.AfterFunc(100*time.Millisecond, drain)
		began := time.Now()
		err := f.Poll(t.Context(), parse(t, servicePlace+"unheard-of"))
		if took := time.Since(began); !errors.Is(err, ErrDrained) || errors.Is(err, fs.ErrNotExist) || took != 100*time.Millisecond {
			t.Errorf("%v after %v", err, took)
		}
		answered()
	})
}
