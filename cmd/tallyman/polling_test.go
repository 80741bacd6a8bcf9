package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tallyman/cmd/tallyman/internal/config"
	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/fetch/sandbox"
	"tallyman/fetch/sls"
)

// A polledCloud is a cloud of jobs that keep running, and a provider that asks for
// them as the command does, without a network between them.
type polledCloud struct {
	*testing.T
	cloud    *sandbox.Cloud
	provider fetch.Provider
	jobs     []fetch.Ref
}

func newPolledCloud(t *testing.T, a *app, jobs int) *polledCloud {
	h := &polledCloud{T: t, cloud: sandbox.New(sandbox.Options{AccessKeyID: demoKey, AccessKeySecret: demoSecret})}
	for i := range jobs {
		name := fmt.Sprintf("download-%d", i)
		h.cloud.AddJob(testProject, sandbox.Job{Name: name, Statuses: []string{sandbox.JobRunning}})
		h.jobs = append(h.jobs, mustRef(t, "sls://cn-hangzhou/"+testProject+"/"+name))
	}
	asked := &sls.Provider{Client: clientOf(h.cloud), Keys: rateLimited(a.APIRate, sls.StaticKeys(demoKey, demoSecret, "")), Endpoint: "http://127.0.0.1:80"}
	providers := map[string]fetch.Provider{"sls": asked}
	h.provider = a.newFetcher(t.Context(), providers, nil, nil).StatusCaches["sls"]
	return h
}

// clientOf calls a cloud without a network between them.
func clientOf(cloud *sandbox.Cloud) *http.Client {
	return &http.Client{Transport: fetchtest.Transport(func(r *http.Request) (*http.Response, error) {
		w, had := httptest.NewRecorder(), http.Header{}
		for name, values := range r.Header {
			had[http.CanonicalHeaderKey(name)] = values
		}
		r = r.Clone(r.Context())
		r.Header, r.Body = had, http.NoBody // as a server has them
		cloud.ServeHTTP(w, r)
		return w.Result(), nil
	})}
}

// poll asks for jobs, as many at once as a worker does, and returns which have
// ended.
func (h *polledCloud) poll(jobs []fetch.Ref) (ended []string) {
	h.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	slots := make(chan struct{}, workerPolls)
	for _, ref := range jobs {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			export, err := h.provider.Export(h.Context(), ref)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				h.Errorf("%s: %v", ref, err)
			case export.State != fetch.Running:
				ended = append(ended, ref.Parts()[2])
			}
		})
	}
	all.Wait()
	return ended
}

// round polls each job once in a minute.
func (h *polledCloud) round() (ended []string) {
	const steps = 50
	began, n := time.Now(), len(h.jobs)
	for i := range steps {
		ended = append(ended, h.poll(h.jobs[i*n/steps:(i+1)*n/steps])...)
		time.Sleep(time.Until(began.Add(time.Minute / steps * time.Duration(i+1))))
	}
	return ended
}

// calls are those that were made of the cloud by now.
func (h *polledCloud) calls() (n int) {
	for _, calls := range h.cloud.Counts().Calls {
		n += calls
	}
	return n
}

func TestTenThousandJobsThatRunAreNoTenThousandCalls(t *testing.T) {
	const most = 150
	if testing.Short() {
		t.Skip("500 pages of a hundred jobs each")
	}
	synctest.Test(t, func(t *testing.T) {
		h := newPolledCloud(t, &app{Options: &config.Options{APIRate: 5}}, 10_000)
		h.round() // gets to know them
		for i := range 2 {
			before, began := h.calls(), time.Now()
			h.round()
			if calls, took := h.calls()-before, time.Since(began); calls > most || took > time.Minute {
				t.Errorf("round %d: %d calls in %v, want no more than %d", i, calls, took, most)
			}
		}
		h.cloud.UpdateJob(testProject, "download-1234", func(j *sandbox.Job) { j.Statuses = []string{sandbox.JobFailed} })
		first, then := h.round(), h.round()
		if n := len(first) + len(then); n == 0 || n > 2 {
			t.Errorf("a job that failed was seen %d times in two rounds", n)
		}
		time.Sleep(time.Hour) // until no listing is made
	})
}

// A job that is answered for by a listing takes no turn from one that is not.
func TestWhatAListingAnswersTakesNoTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newPolledCloud(t, &app{Options: &config.Options{APIRate: 1}}, 50)
		h.poll(h.jobs)
		began := time.Now()
		h.poll(h.jobs[:40])
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("40 answers took %v", took)
		}
		time.Sleep(time.Hour)
	})
}

func TestJobsOfAnotherAccountThanTheirPlaceAreAskedForByThemselves(t *testing.T) {
	a := &app{Options: &config.Options{Places: []config.Place{{Match: "sls://cn-hangzhou/" + testProject + "/download-1", Profile: "b"}}}}
	synctest.Test(t, func(t *testing.T) {
		h := newPolledCloud(t, a, 200)
		theirs := h.jobs[100:200]
		for range 3 {
			before := h.calls()
			h.poll(theirs)
			if calls := h.calls() - before; calls != len(theirs) {
				t.Errorf("%d calls for %d jobs", calls, len(theirs))
			}
			time.Sleep(time.Minute)
		}
		time.Sleep(time.Hour)
	})
}
