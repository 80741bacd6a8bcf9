package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/dbs"
	"tallyman/fetch/dis"
	"tallyman/fetch/dms"
	"tallyman/fetch/fetchtest"
	"tallyman/fetch/obs"
	"tallyman/fetch/oss"
	"tallyman/fetch/sandbox"
	"tallyman/fetch/sls"
)

// A place is a Provider of n jobs, newest first, which have no results yet.
type fakePlace struct {
	jobs []fetch.Listed
	err  error // at the end
}

func (p *fakePlace) Export(context.Context, fetch.Ref) (*fetch.Export, error) {
	return &fetch.Export{State: fetch.Running}, nil
}

func (p *fakePlace) List(context.Context, fetch.Ref, time.Time) iter.Seq2[fetch.Listed, error] {
	return func(yield func(fetch.Listed, error) bool) {
		for _, job := range p.jobs {
			if !yield(job, nil) {
				return
			}
		}
		if p.err != nil {
			yield(fetch.Listed{}, p.err)
		}
	}
}

func mustRef(t *testing.T, s string) fetch.Ref {
	t.Helper()
	ref, err := fetch.ParseRef(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// took is how long n asks take, at --api-rate 1.
func took(t *testing.T, n int, ask func(context.Context) error) time.Duration {
	t.Helper()
	began := time.Now()
	for range n {
		if err := ask(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return time.Since(began).Round(time.Millisecond)
}

// asking asks for keys, whatever they are.
func asking[K any](keys func(context.Context) (K, error)) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := keys(ctx)
		return err
	}
}

func TestServicesArePacedAndStoresAreNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp()
		a.APIRate = 1
		all := a.providersFor(account{sandbox: true})
		for name, keys := range map[string]func(context.Context) error{
			"sls": asking(all["sls"].(*sls.Provider).Keys),
			"dms": asking(all["dms"].(*dms.Provider).Keys),
			"dbs": asking(all["dbs"].(*dbs.Provider).Keys),
			"dis": asking(all["dis"].(*dis.Provider).Keys),
		} {
			if took := took(t, 4, keys); took != 3*time.Second {
				t.Errorf("4 calls of %s at 1 a second took %v", name, took)
			}
		}
		for name, keys := range map[string]func(context.Context) error{
			"oss":            asking(all["oss"].(*oss.Provider).Store.Keys),
			"obs":            asking(all["obs"].(*obs.Provider).Store.Keys),
			"buckets of sls": asking(all["sls"].(*sls.Provider).Store.Keys),
			"buckets of dbs": asking(all["dbs"].(*dbs.Provider).Store.Keys),
		} {
			if took := took(t, 4, keys); took != 0 {
				t.Errorf("4 calls of %s took %v", name, took)
			}
		}
	})
}

func TestEachAccountHasTurnsOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp()
		a.APIRate = 5
		ours, theirs := a.providersFor(account{sandbox: true})["sls"].(*sls.Provider), a.providersFor(account{sandbox: true})["sls"].(*sls.Provider)
		both := took(t, 15, func(ctx context.Context) error {
			return errors.Join(asking(ours.Keys)(ctx), asking(theirs.Keys)(ctx))
		})
		if both != 2*time.Second {
			t.Errorf("5 at once and 10 more, of each of two accounts, took %v", both)
		}
	})
}

// One export may take many calls: those of the pages before it, and one for its
// URL.
func TestEachCallOfAnExportTakesATurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := sandbox.New(sandbox.Options{AccessKeyID: demoKey, AccessKeySecret: demoSecret})
		cloud.AddInstance("rm-1", sandbox.Instance{PageSize: 10})
		for i := range 25 {
			cloud.AddTask("rm-1", sandbox.Task{ID: fmt.Sprint("dt-", i), CreateTime: time.Now().Add(time.Duration(-i) * time.Minute)})
		}
		p := &dbs.Provider{Client: clientOf(cloud), Open: fetchtest.Open, Endpoint: "http://127.0.0.1:80",
			Keys: rateLimited(1, dms.StaticKeys(demoKey, demoSecret, ""))}
		began := time.Now()
		if _, err := p.Export(t.Context(), mustRef(t, "dbs://cn-hangzhou/rm-1/dt-24")); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began).Round(time.Millisecond); took != 3*time.Second {
			t.Errorf("3 pages and a URL at 1 a second took %v: %v", took, cloud.Counts().Calls)
		}
	})
}

func TestTheWaitForATurnIsNotOfTheTimeToAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := sandbox.New(sandbox.Options{AccessKeyID: demoKey, AccessKeySecret: demoSecret})
		cloud.AddJob(testProject, sandbox.Job{Name: "download-1", Statuses: []string{sandbox.JobRunning}})
		p := &sls.Provider{Client: clientOf(cloud), Endpoint: "http://127.0.0.1:80", Keys: rateLimited(0.001, sls.StaticKeys(demoKey, demoSecret, ""))}
		ref := mustRef(t, "sls://cn-hangzhou/"+testProject+"/download-1")
		export := func(ctx context.Context) error { _, err := p.Export(ctx, ref); return err }
		if took := took(t, 2, export); took != 1000*time.Second {
			t.Errorf("2 calls at 0.001 a second took %v", took)
		}
	})
}

func TestAWaitForATurnEndsWithItsContext(t *testing.T) {
	why := errors.New("enough")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		asked := 0
		keys := asking(rateLimited(0.001, func(context.Context) (int, error) { asked++; return 0, nil }))
		if err := keys(ctx); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, func() { cancel(why) })
		if err := keys(ctx); !errors.Is(err, why) || asked != 1 {
			t.Errorf("it ended with %v, asked for %d times", err, asked)
		}
	})
}

func TestWithoutARateNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys := asking(newApp().providersFor(account{sandbox: true})["sls"].(*sls.Provider).Keys)
		if took := took(t, 1000, keys); took != 0 {
			t.Errorf("1000 calls took %v", took)
		}
	})
}
