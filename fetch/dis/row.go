package dis

import (
	"context"
	"fmt"
	"strings"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/internal/api"
)

// A row of a dump task's log is one delivery, to one file. Times are in
// milliseconds since 1970.
type row struct {
	File        api.LenientString `json:"transferFileName"`
	State       api.LenientString `json:"state"`
	Destination api.LenientString `json:"destinationType"`
	StartTime   api.LenientString `json:"startTime"`
	EndTime     api.LenientString `json:"endTime"`
	Bytes       api.LenientString `json:"transferBytes"`
	Records     api.LenientString `json:"transferRecordsNum"`
	Stream      api.LenientString `json:"streamId"`
	Project     api.LenientString `json:"projectId"`

	answer *api.Answer // the page's, with nothing but this row as its body
}

// states are the known values of the field state, of deliveries that have ended.
// The vendor's documentation does not mention the field; its sample has only 0.
var states = map[api.LenientString]fetch.State{"": fetch.Ready, "0": fetch.Ready}

// state returns where a delivery stands. Without an endTime a file is not complete,
// and an unknown state is no failure.
func (r *row) state() fetch.State {
	state, known := states[r.State]
	switch {
	case r.ended() && known:
		return state
	case r.ended():
		return fetch.Failed
	case known:
		return fetch.Running
	}
	return ""
}

func (r *row) ended() bool { return r.EndTime.Count() > 0 }

// status returns the service's own number with a word before it.
func (r *row) status() string {
	return strings.TrimSpace("state " + api.OneLine(string(r.State)))
}

// created returns when the delivery began, or else the time in the file's name.
func (r *row) created() time.Time {
	if start := r.StartTime.Milliseconds(); !start.IsZero() {
		return start
	}
	name := string(r.File)
	return api.LenientString(name[strings.LastIndexByte(name, '.')+1:]).Milliseconds()
}

// stream returns the name of the stream: files are named
// TASK_ID.STREAM.NUMBER.MILLISECONDS. If this one is not, it is the row's streamId,
// which the vendor's documentation calls the name.
func (r *row) stream(task string) string {
	rest, ok := strings.CutPrefix(string(r.File), task+".")
	parts := strings.Split(rest, ".")
	if !ok || len(parts) < 3 {
		return string(r.Stream)
	}
	return strings.Join(parts[:len(parts)-2], ".")
}

// A taskCache keeps what was learned of one dump task. Its lock is held during the
// calls that ask for more: whoever else asks about the task wants the same rows.
type taskCache struct {
	lock  chan struct{}
	ended map[string]*row // by file: they don't change any more

	task  *task
	asked time.Time // when the service was asked for the task
}

const (
	maxEnded = 50_000 // rows kept of a task
	// taskLifetime is how long what was learned of a task is believed.
	taskLifetime = time.Minute
)

// lockCache locks the cache of a reference's dump task, which the caller unlocks. It
// fails if ctx ends before.
func (p *Provider) lockCache(ctx context.Context, ref fetch.Ref) (c *taskCache, unlock func(), err error) {
	name := ref.Parts()[0] + "/" + ref.Parts()[1]
	p.mu.Lock()
	if p.caches == nil {
		p.caches = map[string]*taskCache{}
	}
	c = p.caches[name]
	if c == nil {
		c = &taskCache{lock: make(chan struct{}, 1), ended: map[string]*row{}}
		p.caches[name] = c
	}
	p.mu.Unlock()
	select {
	case c.lock <- struct{}{}:
		return c, func() { <-c.lock }, nil
	case <-ctx.Done():
		return nil, nil, fmt.Errorf("%s: %w", logCall, context.Cause(ctx))
	}
}

// findRow returns the row of the log that a reference names.
func (p *Provider) findRow(ctx context.Context, ref fetch.Ref) (*row, error) {
	c, unlock, err := p.lockCache(ctx, ref)
	if err != nil {
		return nil, err
	}
	defer unlock()
	name := ref.Parts()[2]
	if r := c.ended[name]; r != nil {
		return r, nil
	}
	for page, err := range p.pages(ctx, ref) {
		if err != nil {
			return nil, err
		}
		var found *row
		for _, r := range page.rows {
			if string(r.File) == name {
				found = r
			}
			if !r.ended() {
				continue
			}
			if len(c.ended) == maxEnded {
				clear(c.ended)
			}
			c.ended[string(r.File)] = r
		}
		if found != nil {
			return found, nil
		}
	}
	return nil, &fetch.CallError{Call: logCall, Kind: fetch.ErrNotFound,
		Message: fmt.Sprintf("the log of the dump task has no file %q", name)}
}
