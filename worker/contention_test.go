package worker

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"tallyman/fetch"
	"tallyman/verify/archive"
)

// That another process has an export says nothing of the export.
func TestAProcessThatFindsAnExportBusyDoesNotFailIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, w, ref := &scriptedFetcher{ends: []error{archive.ErrBusy}}, &Worker{}, parseRef(t, jobRef)
		s.setUp(t, w)
		l := StartLocal(w)
		defer l.Close()
		if _, err := l.Fetch(t.Context(), ref); !errors.Is(err, archive.ErrBusy) {
			t.Errorf("it ended with %v", err)
		}
		if state, _ := stateOf(t, w.Archive, ref); state.Phase != archive.Waiting {
			t.Errorf("%+v", state)
		}
	})
}

// A closingFetcher calls close while an attempt is being made, as another process
// might settle the export.
type closingFetcher struct {
	Fetcher
	close func()
}

func (r closingFetcher) Fetch(ctx context.Context, ref fetch.Ref) (*archive.Receipt, error) {
	r.close()
	return r.Fetcher.Fetch(ctx, ref)
}

// A caller of Local.Fetch has asked for the export, even if another process gives
// it up meanwhile. A cancelled export is cancelled for all.
func TestLocalGoesOnAfterAnotherProcessGaveUp(t *testing.T) {
	t.Parallel()
	for phase, landed := range map[archive.Phase]bool{archive.Failed: true, archive.Cancelled: false} {
		synctest.Test(t, func(t *testing.T) {
			s, w, ref := &scriptedFetcher{ends: []error{networkErr, nil}}, &Worker{}, parseRef(t, jobRef)
			s.setUp(t, w)
			w.Fetcher = closingFetcher{w.Fetcher, func() { setPhase(t, w.Archive, ref, phase) }}
			l := StartLocal(w)
			defer l.Close()
			_, err := l.Fetch(t.Context(), ref)
			if (err == nil) != landed || !landed && Classify(err).Cause != "cancelled" {
				t.Errorf("another process left it %s: %v", phase, err)
			}
		})
	}
}

func TestOneExportIsFetchedByOneWorkerAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first, ref := &Worker{}, parseRef(t, jobRef)
		(&scriptedFetcher{}).setUp(t, first)
		once, begun := true, make(chan struct{})
		store := newProvider(0)
		store.BeforeAnswer = func(ctx context.Context, _ int64) error {
			if once {
				once = false
				close(begun)
			}
			return fetch.Sleep(ctx, 20*time.Second)
		}
		first.Fetcher = newFetcher(store, first.Archive)
		ended := make(chan error, 10)
		first.OnEnd = func(_ fetch.Ref, _ *archive.Receipt, err error) { ended <- err }
		defer startWorker(t, first)()
		if _, err := first.Queue.Enqueue(t.Context(), ref, Options{}); err != nil {
			t.Fatal(err)
		}
		<-begun
		second := newWorker(NewQueue(newFakeRedis(t).client), first.Archive, newFetcher(store, first.Archive)) // as if the first Redis had been lost
		second.OnEnd = first.OnEnd
		addRaw(t, second.Queue, fetchQueue, taskID(typeFetch, ref.Hash()), typeFetch, string(payloadOf(newTask(ref, Options{}))))
		addRaw(t, second.Queue, pollQueue, taskID(typePoll, ref.Hash()), typePoll, string(payloadOf(newTask(ref, Options{}))))
		defer startWorker(t, second)()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		time.Sleep(20 * time.Second) // the tasks that found the export busy run again
		for _, in := range []struct {
			*Queue
			name string
		}{{first.Queue, pollQueue}, {first.Queue, fetchQueue}, {second.Queue, pollQueue}, {second.Queue, fetchQueue}} {
			if all, err := in.inspector.GetQueueInfo(in.name); err != nil || all.Size != 0 || all.FailedTotal != 0 {
				t.Errorf("%s: %+v, %v", in.name, all, err)
			}
		}
		if store.Answered(ref) != 1 {
			t.Errorf("%d ranges were read", store.Answered(ref))
		}
		mustLand(t, first.Archive, ref)
	})
}

func TestAnAttemptThatCannotBeRecordedIsRepeated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, w, ref := 0, &Worker{}, parseRef(t, jobRef)
		(&scriptedFetcher{}).setUp(t, w)
		w.Fetcher = &fakeFetcher{fetch: func(context.Context, fetch.Ref) (*archive.Receipt, error) {
			if n++; n > 1 {
				return &archive.Receipt{}, nil
			}
			d, err := w.Archive.Record(ref.String(), ref.Key()) // another attempt has taken it
			if err != nil {
				return nil, err
			}
			time.AfterFunc(20*time.Second, func() { d.Close() })
			return nil, fetch.ErrAuth
		}}
		if err := fetchByWorker(t, w, ref); err != nil || n != 2 {
			t.Errorf("%v after %d attempts", err, n)
		}
		if state, _ := stateOf(t, w.Archive, ref); state.Attempts != 0 {
			t.Errorf("%+v", state)
		}
	})
}

func TestAnExportThatAnotherAttemptLandedHasLanded(t *testing.T) {
	t.Parallel()
	for _, local := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w, ref := &Worker{}, parseRef(t, jobRef)
			(&scriptedFetcher{}).setUp(t, w)
			w.Fetcher = &fakeFetcher{fetch: func(ctx context.Context, ref fetch.Ref) (*archive.Receipt, error) {
				if _, err := newFetcher(newProvider(0), w.Archive).Fetch(ctx, ref); err != nil {
					return nil, err
				}
				return nil, fetch.ErrAuth
			}}
			w.OnEnd = func(_ fetch.Ref, _ *archive.Receipt, err error) {
				if err != nil {
					t.Errorf("local %v: %v", local, err)
				}
			}
			if local {
				l := StartLocal(w)
				defer l.Close()
				if receipt, err := l.Fetch(t.Context(), ref); err != nil || receipt == nil {
					t.Errorf("%v, %v", receipt, err)
				}
			} else {
				defer startWorker(t, w)()
				if _, err := w.Queue.Enqueue(t.Context(), ref, Options{}); err != nil {
					t.Fatal(err)
				}
			}
			if !local {
				waitUntilIdle(t, w.Queue, ref)
			}
			mustLand(t, w.Archive, ref)
		})
	}
}

func TestABusyExportFailsLocalOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, w, ref := &scriptedFetcher{ends: []error{nil}}, &Worker{}, parseRef(t, jobRef)
		s.setUp(t, w)
		queue := w.Queue
		d, err := w.Archive.Record(ref.String(), ref.Key())
		if err != nil {
			t.Fatal(err)
		}
		l := StartLocal(w)
		if _, err := l.Fetch(t.Context(), ref); Classify(err).Exit != ExitBusy || len(s.times) != 0 {
			t.Errorf("%v after %d attempts", err, len(s.times))
		}
		l.Close()
		w.Queue, w.local, w.dispatcher = queue, false, nil
		time.AfterFunc(time.Minute, func() { d.Close() })
		if err := fetchByWorker(t, w, ref); err != nil || len(s.times) != 1 {
			t.Errorf("a worker: %v after %d attempts", err, len(s.times))
		}
	})
}
