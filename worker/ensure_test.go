package worker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/sandbox"
	"tallyman/fetch/sls"
	"tallyman/verify/archive"
	"tallyman/verify/archive/ledger"
)

const ensureProject = "ali-test-project"

var errKilled = errors.New("killed")

// A mortal Creator dies before or behind one in so many calls, as a process that is killed:
// nothing of what comes after happens.
type mortal struct {
	*sls.Provider
	mu     sync.Mutex
	random *rand.Rand
	oneIn  int // 0: it never dies
}

func (m *mortal) dies() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.oneIn > 0 && m.random.IntN(m.oneIn) == 0
}

func (m *mortal) Create(ctx context.Context, c fetch.Creation) (ref fetch.Ref, isOwn bool, err error) {
	if m.dies() {
		return ref, false, errKilled
	}
	if ref, isOwn, err = m.Provider.Create(ctx, c); m.dies() {
		err = errKilled
	}
	return ref, isOwn, err
}

// wait waits for a job as Local.Fetch does, and lands nothing.
func (m *mortal) wait(ctx context.Context, ref fetch.Ref) (*archive.Receipt, error) {
	for {
		export, err := m.Export(ctx, ref)
		switch {
		case m.dies():
			return nil, errKilled
		case err != nil:
			return nil, err
		case export.State == fetch.Failed:
			return nil, &fetch.JobError{State: export.State, Status: export.Status, Message: export.Message}
		case export.State == fetch.Ready:
			return &archive.Receipt{Reference: ref.String()}, nil
		}
	}
}

// ensureCloud serves a log store, and returns what makes its jobs.
func ensureCloud(t *testing.T, faults map[int64]sandbox.JobFaults) (*sandbox.Cloud, *sls.Provider) {
	t.Helper()
	cloud := sandbox.New(sandbox.Options{AccessKeyID: "id", AccessKeySecret: "secret"})
	cloud.AddLogstore(ensureProject, sandbox.Logstore{Name: "access", RowsPerMinute: 1, JobFaults: faults})
	url, stop, err := cloud.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	client := &http.Client{Transport: new(http.Transport)}
	t.Cleanup(client.CloseIdleConnections)
	return cloud, &sls.Provider{Client: client, Keys: sls.StaticKeys("id", "secret", ""), Endpoint: url,
		Open: func(string) (fetch.Source, error) { return nil, nil }}
}

func ensureWindow(t *testing.T, n int) fetch.Creation {
	place, err := fetch.ParsePlace("sls://cn-hangzhou/" + ensureProject + "/")
	if err != nil {
		t.Fatal(err)
	}
	from := time.Unix(1767312000, 0).UTC().Add(time.Duration(n) * time.Minute)
	return fetch.Creation{Window: fetch.Window{Place: place, Group: sls.WindowGroup("access", "*"), From: from, To: from.Add(time.Minute)}}
}

// However often they are killed, and however many do it at once, each window has one job that
// lives, and those that failed before it.
func TestThereAreNeverTwoLivingJobsOfAWindow(t *testing.T) {
	const windows, processes = 12, 2
	faults := map[int64]sandbox.JobFaults{}
	for n := range windows {
		faults[ensureWindow(t, n).From.Unix()] = sandbox.JobFaults{Fail: n % 3}
	}
	cloud, provider := ensureCloud(t, faults)
	dir := t.TempDir()
	var all sync.WaitGroup
	for process := range processes {
		store, err := archive.Open(dir, "", archive.SiteEmpty)
		if err != nil {
			t.Fatal(err)
		}
		m := &mortal{Provider: provider, random: rand.New(rand.NewPCG(7, uint64(process))), oneIn: 5}
		e := &Ensurer{Archive: store, Creator: m, Fetch: m.wait, Patience: time.Millisecond}
		all.Go(func() {
			for n := range windows {
				_, receipt, err := e.Ensure(t.Context(), ensureWindow(t, n))
				for errors.Is(err, errKilled) {
					_, receipt, err = e.Ensure(t.Context(), ensureWindow(t, n))
				}
				if err != nil || receipt == nil {
					t.Errorf("window %d: %v", n, err)
				}
			}
		})
	}
	all.Wait()
	living, dead := map[time.Time]int{}, map[time.Time]int{}
	for _, job := range cloud.Jobs(ensureProject) {
		if job.Statuses[0] == sandbox.JobFailed {
			dead[job.FromTime.UTC()]++
		} else {
			living[job.FromTime.UTC()]++
		}
	}
	for n := range windows {
		if from := ensureWindow(t, n).From; living[from] != 1 || dead[from] != n%3 {
			t.Errorf("window %d has %d living jobs and %d that failed", n, living[from], dead[from])
		}
	}
}

func TestEnsureGivesUpAfterThreeJobs(t *testing.T) {
	window := ensureWindow(t, 0)
	cloud, provider := ensureCloud(t, map[int64]sandbox.JobFaults{window.From.Unix(): {Fail: 9}})
	store, err := archive.Open(t.TempDir(), "", archive.SiteEmpty)
	if err != nil {
		t.Fatal(err)
	}
	m := &mortal{Provider: provider}
	e := &Ensurer{Archive: store, Creator: m, Fetch: m.wait}
	for range 2 { // the second time it finds what it made
		ref, _, err := e.Ensure(t.Context(), window)
		if job, ok := errors.AsType[*fetch.JobError](err); !ok || job.State != fetch.Failed || Classify(err).Exit != ExitGone {
			t.Errorf("got %v", err)
		}
		if jobs := cloud.Jobs(ensureProject); len(jobs) != 3 || jobs[2].Name != ref.Parts()[2] {
			t.Errorf("%d jobs, the last is not %s", len(jobs), ref)
		}
	}
	if created := kinds(t, store)[ledger.Created]; created != 3 {
		t.Errorf("%d lines of jobs that were made, want one each", created)
	}
}

// What may pass is waited for, and no other job is made meanwhile.
func TestEnsureWaitsForWhatPasses(t *testing.T) {
	cloud, provider := ensureCloud(t, nil)
	cloud.SetJobQuota(ensureProject, 1)
	store, err := archive.Open(t.TempDir(), "", archive.SiteEmpty)
	if err != nil {
		t.Fatal(err)
	}
	m, notes, busy := &mortal{Provider: provider}, 0, true
	e := &Ensurer{Archive: store, Creator: m, Patience: time.Millisecond}
	other, _, _ := provider.Create(t.Context(), ensureWindow(t, 1))
	e.Note = func(fetch.Ref, string) {
		if notes++; notes == 2 {
			_, _ = m.wait(t.Context(), other) // it ends
		}
	}
	e.Fetch = func(ctx context.Context, ref fetch.Ref) (*archive.Receipt, error) {
		if busy {
			busy = false
			return nil, fmt.Errorf("begin: %w", archive.ErrBusy)
		}
		return m.wait(ctx, ref)
	}
	if _, _, err := e.Ensure(t.Context(), ensureWindow(t, 0)); err != nil || notes != 3 || len(cloud.Jobs(ensureProject)) != 2 {
		t.Errorf("%v after %d notes, %d jobs", err, notes, len(cloud.Jobs(ensureProject)))
	}
}

// A job that this archive did not make stays, even if it was made for the same by another
// archive. One that it made stays its own if it is killed before it has noted that.
func TestOnlyJobsOfOurOwnAreDeleted(t *testing.T) {
	cloud, provider := ensureCloud(t, nil)
	open := func() *Ensurer {
		store, err := archive.Open(t.TempDir(), "", archive.SiteEmpty)
		if err != nil {
			t.Fatal(err)
		}
		m := &mortal{Provider: provider}
		return &Ensurer{Archive: store, Creator: m, Fetch: m.wait}
	}
	ours, theirs := open(), open()
	make := func(n int, maker string) {
		c := ensureWindow(t, n)
		c.Attempt, c.Maker = 1, maker
		if _, _, err := provider.Create(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	make(0, "")                  // a person, or an earlier version
	make(1, theirs.Archive.ID()) // another archive, which has noted nothing yet
	make(2, ours.Archive.ID())   // this one, which was killed then and there
	for n, isOwn := range []bool{false, false, true, true} {
		ref, _, err := ours.Ensure(t.Context(), ensureWindow(t, n))
		if err != nil {
			t.Fatal(err)
		}
		if deleted, err := ours.Delete(t.Context(), ref); deleted != isOwn || err != nil {
			t.Errorf("job %d: deleted %t, want %t: %v", n, deleted, isOwn, err)
		}
	}
	if jobs := cloud.Jobs(ensureProject); len(jobs) != 2 {
		t.Errorf("%d jobs are left, want those of others", len(jobs))
	}
}

// A visited Creator has someone come in before it makes a job, who is not waited for long.
type visited struct {
	fetch.Creator
	visit func()
}

func (v *visited) Create(ctx context.Context, c fetch.Creation) (fetch.Ref, bool, error) {
	done := make(chan struct{})
	go func() { defer close(done); v.visit() }()
	select {
	case <-done:
	case <-time.After(200 * time.Millisecond):
	}
	return v.Creator.Create(ctx, c)
}

// A job that another process deletes, since its export has landed, between the look of one and
// its call is not made once more.
func TestAJobThatHasLandedIsNotMadeAgain(t *testing.T) {
	cloud, provider := ensureCloud(t, nil)
	dir := t.TempDir()
	open := func(creator fetch.Creator) *Ensurer {
		store, err := archive.Open(dir, "", archive.SiteEmpty)
		if err != nil {
			t.Fatal(err)
		}
		return &Ensurer{Archive: store, Creator: creator, Fetch: newFetcher(newProvider(10), store).Fetch}
	}
	one := open(provider)
	gone := make(chan error, 1)
	two := open(&visited{provider, func() {
		ref, _, err := one.Ensure(t.Context(), ensureWindow(t, 0))
		if err == nil {
			_, err = one.Delete(t.Context(), ref)
		}
		gone <- err
	}})
	_, receipt, err := two.Ensure(t.Context(), ensureWindow(t, 0))
	if err != nil || receipt == nil {
		t.Errorf("got %v", err)
	}
	if err := <-gone; err != nil {
		t.Errorf("the other got %v", err)
	}
	if jobs := cloud.Jobs(ensureProject); len(jobs) != 0 {
		t.Errorf("%s is left, though it has landed and was deleted", jobs[0].Name)
	}
}

// Await has an export fetched by the queue, whatever that is. What was given up is tried
// anew, unless its job is dead.
func TestAwaitWaitsForTheQueue(t *testing.T) {
	for name, hasRedis := range map[string]bool{"in Redis": true, "in the process": false} {
		synctest.Test(t, func(t *testing.T) {
			a := openArchive(t)
			landing := newFetcher(newProvider(10), a)
			denied, jobs := true, map[string]error{
				"denied": &fetch.CallError{Call: "GET", Kind: fetch.ErrAuth}, "dead": &fetch.JobError{State: fetch.Failed, Message: "timed out"},
			}
			fetcher := &fakeFetcher{fetch: landing.Fetch, poll: func(_ context.Context, ref fetch.Ref) error {
				if err := jobs[ref.Parts()[2]]; denied {
					return err
				}
				return nil
			}}
			w := newWorker(nil, a, fetcher)
			if hasRedis {
				w.Queue = NewQueue(newFakeRedis(t).client)
			}
			stop := startWorker(t, w)
			defer stop()
			time.Sleep(time.Minute)
			synctest.Wait() // until it serves the queue
			await := func(job string) error {
				receipt, err := w.Await(t.Context(), parseRef(t, "sls://cn-hangzhou/project/"+job))
				if err == nil && receipt == nil {
					t.Errorf("%s, %s: it has landed, and there is no receipt", name, job)
				}
				return err
			}
			if err := await("good"); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if err := await("denied"); err == nil || isDead(err) {
				t.Errorf("%s: denied: got %v", name, err)
			}
			if err := await("dead"); !isDead(err) {
				t.Errorf("%s: dead: got %v", name, err)
			}
			denied = false
			if err := await("denied"); err != nil {
				t.Errorf("%s: no more denied: got %v", name, err)
			}
			if err := await("dead"); !isDead(err) {
				t.Errorf("%s: dead for good: got %v", name, err)
			}
		})
	}
}

// A job that another process gave up for good between the look and the asking is not asked for
// again: who is killed then would leave it waiting.
func TestADeadJobIsNotAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, ref := openArchive(t), parseRef(t, jobRef)
		failed := &fetch.JobError{State: fetch.Failed, Message: "timed out"}
		fetcher := &fakeFetcher{poll: func(context.Context, fetch.Ref) error { return failed }}
		local := StartLocal(newWorker(nil, a, fetcher))
		defer local.Close()
		for range 2 {
			if _, err := local.FetchUnlessDead(t.Context(), ref); !isDead(err) {
				t.Errorf("got %v", err)
			}
			if state, _ := stateOf(t, a, ref); state.Phase != archive.Failed {
				t.Errorf("it is %s", state.Phase)
			}
		}
		if asked := kinds(t, a)[ledger.Asked]; asked != 1 {
			t.Errorf("asked for %d times", asked)
		}
	})
}

// A job that another process gives up for good between the look of Await and its asking stays
// given up.
func TestAwaitAsksForNoJobThatDiesMeanwhile(t *testing.T) {
	a, ref := openArchive(t), parseRef(t, jobRef)
	giveUp := func(cause Cause) {
		d, err := a.Record(ref.String(), ref.Key())
		if err != nil {
			t.Fatal(err)
		}
		d.State.Phase, d.State.Cause = archive.Failed, string(cause)
		if err := errors.Join(d.Save(), d.Close()); err != nil {
			t.Fatal(err)
		}
	}
	giveUp("auth-denied")
	w := newWorker(nil, a, &fakeFetcher{})
	w.Profile = func(fetch.Ref) string { // which is asked for between the two
		giveUp("job-failed")
		return ""
	}
	if _, err := w.Await(t.Context(), ref); !isDead(err) {
		t.Errorf("got %v", err)
	}
	if state, _ := stateOf(t, a, ref); state.Phase != archive.Failed {
		t.Errorf("it is %s", state.Phase)
	}
}

// What a job says is written down once another process lets the record go: the wait for the
// job does not end by that.
func TestAWaitOutlastsARecordThatIsTaken(t *testing.T) {
	for name, job := range map[string]error{
		"not ready": &fetch.NotReadyError{State: fetch.Running, Status: "RUNNING"}, "failed": &fetch.JobError{State: fetch.Failed, Message: "timed out"},
	} {
		synctest.Test(t, func(t *testing.T) {
			a, ref := openArchive(t), parseRef(t, jobRef)
			polls := 0
			fetcher := &fakeFetcher{fetch: newFetcher(newProvider(10), a).Fetch, poll: func(context.Context, fetch.Ref) error {
				if polls++; polls > 1 {
					if _, waits := errors.AsType[*fetch.NotReadyError](job); waits {
						return nil
					}
					return job
				}
				d, err := a.Record(ref.String(), ref.Key()) // as another process
				if err != nil {
					return err
				}
				time.AfterFunc(time.Millisecond, func() { d.Close() })
				return job
			}}
			local := StartLocal(newWorker(nil, a, fetcher))
			defer local.Close()
			_, err := local.Fetch(t.Context(), ref)
			state, _, unknown := a.State(ref.Key())
			if isDead(job) && (!isDead(err) || unknown != nil || state.Phase != archive.Failed) || !isDead(job) && err != nil {
				t.Errorf("%s: %v after %d polls, it is %q", name, err, polls, state.Phase)
			}
		})
	}
}

// A year of hours, of which each has a job made. What is already in the ledger must not make
// each of them slower.
func BenchmarkEnsure(b *testing.B) {
	place, err := fetch.ParsePlace("sls://cn-hangzhou/" + ensureProject + "/")
	if err != nil {
		b.Fatal(err)
	}
	const hours = 8760
	for range b.N {
		store, err := archive.Open(b.TempDir(), "", archive.SiteEmpty)
		if err != nil {
			b.Fatal(err)
		}
		e := &Ensurer{Archive: store, Creator: instant{}}
		e.Fetch = func(_ context.Context, ref fetch.Ref) (*archive.Receipt, error) {
			return &archive.Receipt{}, store.Ledger().Append(ledger.Line{Kind: ledger.Asked, Ref: ref.String(), Key: ref.Key()})
		}
		for n := range hours {
			from := time.Unix(1767312000, 0).UTC().Add(time.Duration(n) * time.Hour)
			c := fetch.Creation{Window: fetch.Window{Place: place, Group: sls.WindowGroup("access", "*"), From: from, To: from.Add(time.Hour)}}
			if _, _, err := e.Ensure(b.Context(), c); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// An instant Creator makes jobs without a service.
type instant struct{}

func (instant) NewJob(c fetch.Creation) (fetch.Ref, error) {
	return fetch.ParseRef(fmt.Sprintf("%stallyman-%032x-%d", c.Place, c.From.Unix(), c.Attempt))
}
func (i instant) Create(_ context.Context, c fetch.Creation) (fetch.Ref, bool, error) {
	ref, err := i.NewJob(c)
	return ref, true, err
}
func (instant) Delete(context.Context, fetch.Ref) error { return nil }
