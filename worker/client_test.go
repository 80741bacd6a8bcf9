package worker

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tallyman/fetch"
	"tallyman/verify/archive"
)

func newClient(t *testing.T, a *archive.Archive) *Client {
	t.Helper()
	return &Client{Archive: a, Queue: NewQueue(newFakeRedis(t).client)}
}

// statesOf returns the states of all exports, by reference.
func statesOf(t *testing.T, c *Client) map[string]ExportState {
	t.Helper()
	s, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]ExportState{}
	for status, err := range s.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		states[status.Key] = status.State
	}
	return states
}

func TestEnqueueTellsWhereAnExportStands(t *testing.T) {
	c := newClient(t, openArchive(t))
	pending, settled := fillArchive(t, c.Archive)
	fresh, again := parseRef(t, jobRef+"new"), EnqueueOptions{Again: time.Now()}
	for _, test := range []struct {
		ref  fetch.Ref
		o    EnqueueOptions
		want Submission
	}{
		{fresh, EnqueueOptions{}, Submission{State: StateQueued}},
		{fresh, EnqueueOptions{}, Submission{State: StateKnown}},
		{pending[0], EnqueueOptions{}, Submission{State: StateQueued}},
		{settled[0], EnqueueOptions{}, Submission{State: StateLanded}},
		{settled[0], again, Submission{State: StateQueued}},
		{settled[1], EnqueueOptions{}, Submission{State: StateFailed}},
		{settled[2], EnqueueOptions{}, Submission{State: StateCancelled}},
	} {
		got, err := c.Enqueue(t.Context(), test.ref, test.o)
		if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v %s", test.ref, err, diff)
		}
	}
	signed := parseRef(t, "https://h.example/a.csv?Expires=1&Signature=x")
	if _, err := c.Enqueue(t.Context(), signed, EnqueueOptions{}); !errors.Is(err, ErrSignedURL) {
		t.Errorf("a signed URL: %v", err)
	}
}

func TestStatusKnowsEachExportOfTheArchiveAndOfTheQueue(t *testing.T) {
	c := newClient(t, openArchive(t))
	pending, settled := fillArchive(t, c.Archive)
	unseen := parseRef(t, jobRef+"new")
	for _, ref := range []fetch.Ref{unseen, pending[0]} {
		if _, err := c.Enqueue(t.Context(), ref, EnqueueOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]ExportState{
		unseen.Key(): StateQueued, pending[0].Key(): StateQueued, pending[1].Key(): StateIdle, pending[2].Key(): StateIdle, pending[3].Key(): StateIdle,
		settled[0].Key(): StateLanded, settled[1].Key(): StateFailed, settled[2].Key(): StateCancelled,
		parseRef(t, "https://h.example/b.csv?Expires=1&Signature=x").Key(): StateIdle,
	}
	if diff := cmp.Diff(want, statesOf(t, c)); diff != "" {
		t.Error(diff)
	}
	s, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []fetch.Ref{unseen, pending[0], pending[1], settled[0], settled[1]} {
		if status, err := s.Export(ref); status.State != want[ref.Key()] || err != nil {
			t.Errorf("%s alone is %s, %v", ref, status.State, err)
		}
	}
	if _, err := s.Export(parseRef(t, jobRef+"unknown")); !errors.Is(err, ErrUnknownExport) {
		t.Errorf("an export that nobody knows: %v", err)
	}
}

func TestRetryAndCancelChangeTheStateOfAnExport(t *testing.T) {
	c := newClient(t, openArchive(t))
	c.By = "ada"
	pending, settled := fillArchive(t, c.Archive)
	landed, failed, cancelled, unseen := settled[0], settled[1], settled[2], parseRef(t, jobRef+"new")
	var failures []string
	for ref, err := range c.Failed("") {
		if err != nil {
			t.Error(err)
		}
		failures = append(failures, ref.String())
	}
	if diff := cmp.Diff([]string{failed.String()}, failures); diff != "" {
		t.Errorf("what has failed: %s", diff)
	}
	for _, test := range []struct {
		ref  fetch.Ref
		want ExportState
	}{{landed, StateLanded}, {failed, StateQueued}, {cancelled, StateQueued}} {
		if got, err := c.Retry(t.Context(), test.ref); got.State != test.want || err != nil {
			t.Errorf("retry %s: %v, %v", test.ref, got, err)
		}
	}
	if _, err := c.Enqueue(t.Context(), unseen, EnqueueOptions{}); err != nil {
		t.Fatal(err)
	}
	states := map[string]ExportState{}
	for _, test := range []struct {
		ref  fetch.Ref
		err  error
		then ExportState
	}{
		{landed, archive.ErrLanded, StateLanded}, {pending[0], nil, StateCancelled}, {failed, nil, StateCancelled}, {unseen, nil, StateCancelled},
		{parseRef(t, jobRef+"unknown"), ErrUnknownExport, ""},
	} {
		if err := c.Cancel(t.Context(), test.ref); !errors.Is(err, test.err) {
			t.Errorf("cancel %s: %v, want %v", test.ref, err, test.err)
		}
		states[test.ref.Key()] = test.then
	}
	lines, err := c.Archive.EventsOf(failed.Key())
	var said []string
	for _, line := range lines[max(0, len(lines)-2):] {
		said = append(said, string(line.Kind)+" by "+line.By)
	}
	if diff := cmp.Diff([]string{"asked by ada", "cancelled by ada"}, said); diff != "" || err != nil {
		t.Errorf("the ledger: %v %s", err, diff)
	}
	got := statesOf(t, c)
	for key, want := range states {
		if got[key] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
}
