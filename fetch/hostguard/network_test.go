package hostguard

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A networkEnd is what an endpoint does with the calls that a Network makes of it.
type networkEnd struct {
	answer func(*http.Request) (*http.Response, error)
	calls  []string
	told   []string
}

func (e *networkEnd) RoundTrip(r *http.Request) (*http.Response, error) {
	e.calls = append(e.calls, r.Method+" "+r.URL.String())
	return e.answer(r)
}

func (e *networkEnd) network() Network {
	return NewAutoNetwork(&http.Client{Transport: e}, func(endpoint string, failure error) {
		text := endpoint + " answers"
		if failure != nil {
			text = endpoint + ": " + failure.Error()
		}
		e.told = append(e.told, text)
	})
}

func forbid(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusForbidden, Body: http.NoBody}, nil
}

var errNoRoute = errors.New("no route to host")

func vanish(*http.Request) (*http.Response, error) { return nil, errNoRoute }

// Any answer shows that an internal endpoint is there, also one that refuses; who is asked is
// remembered for ten minutes, and a change is told once.
func TestTheInternalEndpointIsCalledWhereItAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &networkEnd{answer: forbid}
		n := e.network()
		var got []bool
		for _, answer := range []func(*http.Request) (*http.Response, error){forbid, vanish, vanish, forbid} {
			e.answer = answer
			got = append(got, n.IsInternal(t.Context(), "a-intranet.example"), n.IsInternal(t.Context(), "a-intranet.example"))
			time.Sleep(10 * time.Minute)
		}
		want := []bool{true, true, false, false, false, false, true, true}
		if !slices.Equal(want, got) || len(e.calls) != 4 || e.calls[0] != "HEAD https://a-intranet.example/" {
			t.Errorf("calls %q, got %v, want %v", e.calls, got, want)
		}
		told := []string{"a-intranet.example answers", "a-intranet.example: no route to host", "a-intranet.example answers"}
		if !slices.Equal(told, e.told) {
			t.Errorf("told %q, want %q", e.told, told)
		}
	})
}

// An internal endpoint that lies behind a wall which drops what is sent costs two seconds,
// and all who ask meanwhile wait for one call.
func TestAnEndpointThatIsSilentIsNotWaitedForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &networkEnd{answer: func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, context.Cause(r.Context())
		}}
		n, began := e.network(), time.Now()
		var all sync.WaitGroup
		for range 64 {
			all.Go(func() {
				if n.IsInternal(t.Context(), "a-intranet.example") {
					t.Error("it is said to be there")
				}
			})
		}
		all.Wait()
		if took := time.Since(began); took != 2*time.Second || len(e.calls) != 1 || len(e.told) != 1 {
			t.Errorf("%d calls in %v, told %q", len(e.calls), took, e.told)
		}
	})
}

// Who stops asking finds out nothing, and keeps nobody else from it.
func TestACallThatIsCutShortSaysNothingOfTheNetwork(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	e := &networkEnd{answer: func(r *http.Request) (*http.Response, error) {
		cancel()
		return nil, context.Canceled
	}}
	n := e.network()
	if n.IsInternal(ctx, "a-intranet.example") || len(e.told) > 0 {
		t.Errorf("told %q", e.told)
	}
	if e.answer = forbid; !n.IsInternal(t.Context(), "a-intranet.example") {
		t.Error("the endpoint was not asked again")
	}
}

func TestWithoutANetworkTheEndpointIsPublic(t *testing.T) {
	if Network(nil).IsInternal(t.Context(), "a-intranet.example") || !Network(InternalNetwork).IsInternal(t.Context(), "a-intranet.example") {
		t.Error("the zero Network is not the public one")
	}
}
