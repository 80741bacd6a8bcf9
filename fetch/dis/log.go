package dis

import (
	"context"
	"fmt"
	"time"

	"tallyman/fetch"
)

// A taskLog is what is known of one dump task. Who asks the service for more
// of it asks alone: others want the same rows.
type taskLog struct {
	turn  chan struct{}
	ended map[string]*row // by file: they don't change any more

	to    *task
	asked time.Time // when the service was asked for to
}

const (
	// mostEnded is how many rows are kept of a task.
	mostEnded = 50_000
	// taskTime is how long a task is taken to deliver where it did.
	taskTime = time.Minute
)

// enter waits for the turn to ask about the task of a reference.
func (p *Provider) enter(ctx context.Context, ref fetch.Ref) (*taskLog, error) {
	l := p.log(ref.Parts()[0] + "/" + ref.Parts()[1])
	select {
	case l.turn <- struct{}{}:
		return l, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%s: %w", logCall, context.Cause(ctx))
	}
}

func (l *taskLog) leave() { <-l.turn }

func (p *Provider) log(name string) *taskLog {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.logs == nil {
		p.logs = map[string]*taskLog{}
	}
	if p.logs[name] == nil {
		p.logs[name] = &taskLog{turn: make(chan struct{}, 1), ended: map[string]*row{}}
	}
	return p.logs[name]
}

// row is the one of the log that a reference names.
func (p *Provider) row(ctx context.Context, ref fetch.Ref) (*row, error) {
	l, err := p.enter(ctx, ref)
	if err != nil {
		return nil, err
	}
	defer l.leave()
	name := ref.Parts()[2]
	if r := l.ended[name]; r != nil {
		return r, nil
	}
	for page, err := range p.pages(ctx, ref) {
		if err != nil {
			return nil, err
		}
		if r := l.keep(page.rows, name); r != nil {
			return r, nil
		}
	}
	return nil, &fetch.CallError{Call: logCall, Kind: fetch.ErrNotFound,
		Message: fmt.Sprintf("the log of the dump task has no file %q", name)}
}

// keep keeps the rows that have ended, and gives the one of that name.
func (l *taskLog) keep(rows []*row, name string) (named *row) {
	for _, r := range rows {
		if string(r.File) == name {
			named = r
		}
		if !r.ended() {
			continue
		}
		if len(l.ended) == mostEnded {
			clear(l.ended)
		}
		l.ended[string(r.File)] = r
	}
	return named
}
