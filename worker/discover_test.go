package worker

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tallyman/fetch"
)

// poisonDiscoverPayloads can't be the payload of a discover, and what the reason
// says.
var poisonDiscoverPayloads = map[string]struct{ payload, says string }{
	"nothing":        {"", "EOF"},
	"null":           {"null", "version 0"},
	"no place":       {`{"v":1,"place":""}`, "want SCHEME"},
	"a task":         {`{"v":1,"ref":"` + jobRef + `"}`, "unknown field"},
	"secret field":   {`{"v":1,"place":"` + jobPlace + `","https://h/?Signature=` + canary + `":1}`, "unknown field"},
	"version 2":      {`{"v":2,"place":"` + jobPlace + `"}`, "version 2, want 1"},
	"a job":          {`{"v":1,"place":"` + jobRef + `"}`, "want sls://REGION/PROJECT/"},
	"a bucket":       {`{"v":1,"place":"oss://bucket/prefix/"}`, "an export itself"},
	"scheme":         {`{"v":1,"place":"file:///etc/"}`, "want SCHEME"},
	"no lister":      {`{"v":1,"place":"dbs://cn-hangzhou/instance/"}`, "can't list dbs places"},
	"signed URL":     {`{"v":1,"place":"https://h.example/a.csv?Expires=1\u0026Signature=` + canary + `"}`, "a URL is one file"},
	"dots":           {`{"v":1,"place":"sls://cn-hangzhou/../"}`, `PROJECT is ".."`},
	"secret option":  {`{"v":1,"place":"` + jobPlace + `?Signature=` + canary + `"}`, "it holds a secret"},
	"glob":           {`{"v":1,"place":"` + jobPlace + `","match":"["}`, "syntax error in pattern"},
	"since":          {`{"v":1,"place":"` + jobPlace + `","since":"yesterday"}`, "invalid duration"},
	"wait negative":  {`{"v":1,"place":"` + jobPlace + `","wait":"-1s"}`, "wait is negative"},
	"two payloads":   {`{"v":1,"place":"` + jobPlace + `"}{}`, "something follows"},
	"trailing space": {`{"v":1,"place":"` + jobPlace + `"} `, "not as this version writes it"},
	"a megabyte":     {`{"v":1,"place":"` + strings.Repeat(canary, 1<<20/len(canary)) + `"}`, "bytes, more than"},
}

func TestUnreadableDiscoverTasksAreQuarantined(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, r, e := newFakeRedis(t), newFakeLister(t, "job"), everyEntry(t, time.Minute)
		w := r.worker(NewQueue(p.client), e)
		for name, bad := range poisonDiscoverPayloads {
			addRaw(t, w.Queue, discoverQueue, name, typeDiscover, bad.payload)
		}
		addRaw(t, w.Queue, discoverQueue, "type", typePoll+"?Signature="+canary, string(payloadOf(e.task())))
		defer startWorker(t, w)()
		time.Sleep(2 * time.Minute)
		for name, bad := range poisonDiscoverPayloads {
			checkQuarantined(t, w.Queue, discoverQueue, name, bad.says)
		}
		checkQuarantined(t, w.Queue, discoverQueue, "type", "want place:discover")
		r.checkListings(t, 2, 3, 0)
		r.checkLanded(t, "job")
		if r.countLog(canary) != 0 {
			t.Errorf("a secret is in the log: %s", &r.log)
		}
	})
}

func TestJobsAreEnqueuedWhileThePlaceIsListed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const many = 300
		p, r := newFakeRedis(t), newFakeLister(t)
		w := r.worker(NewQueue(p.client), everyEntry(t, time.Minute))
		ahead := 0
		w.Listers["sls"] = lazyLister(func(yield func(fetch.Listed, error) bool) {
			for n := range many {
				if all, err := w.Queue.inspector.GetQueueInfo(pollQueue); err == nil {
					ahead = max(ahead, n-all.Size)
				}
				if !yield(fetch.Listed{Ref: parseRef(t, fmt.Sprint(jobPlace, "job", n))}, nil) {
					return
				}
			}
		})
		s, err := w.newDiscoverRun(w.Schedule[0].task(), w.Schedule[0].Place)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.run(t.Context()); err != nil || s.enqueued.Load() != many || s.listed != many {
			t.Errorf("%d listed, %d enqueued, %v", s.listed, s.enqueued.Load(), err)
		}
		if ahead > enqueueConcurrency+1 {
			t.Errorf("%d jobs were listed ahead", ahead)
		}
	})
}

// A lazyLister is a Lister of one place, whose jobs are made as they are listed.
type lazyLister iter.Seq2[fetch.Listed, error]

func (l lazyLister) List(context.Context, fetch.Ref, time.Time) iter.Seq2[fetch.Listed, error] {
	return iter.Seq2[fetch.Listed, error](l)
}
