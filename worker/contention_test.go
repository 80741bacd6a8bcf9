package worker

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

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
				t.Errorf("a rival left it %s: %v", phase, err)
			}
		})
	}
}
