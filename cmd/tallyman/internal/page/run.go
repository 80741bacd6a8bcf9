package page

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"tallyman/fetch"
)

// So many actions are remembered, and so much is told of each. Whoever asks how far one is
// waits a little, so that most have ended when they are first shown.
const (
	maxRuns     = 50
	maxFailures = 100
	maxDone     = 20
	runPatience = 2 * time.Second
)

// runs are the actions that people had done, those that were begun last at the end. Its
// methods may be called by many goroutines at once.
type runs struct {
	mu  sync.Mutex
	all []*run
}

// A run is an action that is being done, or was.
type run struct {
	id    string
	ended chan struct{}
	mu    sync.Mutex
	told  told
}

// told is what is told of a run.
type told struct {
	Action       Action
	Exports      int64
	Done, Failed int64
	Ended        bool
	Successes    []Result // some of those for which it was done
	Failures     []Result // some of the others
}

// Left is how many exports are still to come.
func (t told) Left() int64 { return t.Exports - t.Done - t.Failed }

// begin has an action done, and returns the ID by which it is asked for.
func (r *runs) begin(a Action, exports int64, do func(report func(Result))) (id string) {
	made := &run{id: rand.Text(), ended: make(chan struct{}), told: told{Action: a, Exports: exports}}
	r.mu.Lock()
	r.all = append(r.all, made)
	r.all = r.all[max(0, len(r.all)-maxRuns):]
	r.mu.Unlock()
	go func() {
		defer close(made.ended)
		do(made.report)
		made.mu.Lock()
		defer made.mu.Unlock()
		made.told.Ended = true
	}()
	return made.id
}

// report takes in what came of one export.
func (r *run) report(result Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if result.Err == "" {
		r.told.Done++
		if len(r.told.Successes) < maxDone {
			r.told.Successes = append(r.told.Successes, result)
		}
		return
	}
	r.told.Failed++
	if len(r.told.Failures) < maxFailures {
		r.told.Failures = append(r.told.Failures, result)
	}
}

// wait tells of a run once it has ended, or how far it is after a little while. It reports
// whether the run is known.
func (r *runs) wait(ctx context.Context, id string) (told, bool) {
	r.mu.Lock()
	i := slices.IndexFunc(r.all, func(one *run) bool { return one.id == id })
	var found *run
	if i >= 0 {
		found = r.all[i]
	}
	r.mu.Unlock()
	if found == nil {
		return told{}, false
	}
	timer := time.NewTimer(runPatience)
	defer timer.Stop()
	select {
	case <-found.ended:
	case <-timer.C:
	case <-ctx.Done():
	}
	found.mu.Lock()
	defer found.mu.Unlock()
	t := found.told
	t.Successes, t.Failures = slices.Clone(t.Successes), slices.Clone(t.Failures)
	return t, true
}

// done tells what came of an action.
func (v *views) done(t told) g.Node {
	a, past := t.Action, t.Action.Verb.Past()
	heading := a.Count(t.Done) + " " + past
	if t.Failed > 0 {
		heading += fmt.Sprintf(", %d not", t.Failed)
	}
	content := g.Group{h.H1(g.Text(heading))}
	if !t.Ended {
		content = append(content, h.P(h.Role("status"), g.Text(a.Count(t.Left())+" still to come. "), h.A(h.Href(""), g.Text("See how far it is"))))
	} else if t.Left() > 0 {
		content = append(content, h.P(h.Role("status"), g.Text(a.Count(t.Left())+" were not reached: the program was told to stop.")))
	}
	if len(t.Failures) > 0 {
		content = append(content, h.H2(g.Text("Not "+past)), results(t.Failures, t.Failed))
	}
	if len(t.Successes) > 0 {
		content = append(content, results(t.Successes, t.Done))
	}
	if a.Reason != "" {
		content = append(content, h.P(g.Text("Reason: "+a.Reason)))
	}
	return v.document("Tallyman", content, h.P(g.Text("By "+a.By+". "), link("/", g.Text("Back to all places"))))
}

// results are some of all so many.
func results(some []Result, all int64) g.Node {
	list := h.Ul(h.Class("refs"), g.Map(some, func(r Result) g.Node {
		name := linkToExport(r.Ref)
		if _, err := fetch.ParsePlace(r.Ref); err == nil {
			name = link(CoverageAddress(r.Ref, "", nil), g.Text(r.Ref))
		}
		return h.Li(name, g.Text(" "+r.Said), paragraph("message", r.Err), paragraph("", r.Hint))
	}))
	if all > int64(len(some)) {
		return g.Group{list, h.P(g.Textf("and %d in all", all))}
	}
	return list
}
