package fetch

import (
	"context"
	"sync"
	"time"
)

// answers are those of jobs that were ready when Poll asked them, each for the
// one Fetch that follows soon.
type answers struct {
	mu    sync.Mutex
	ready map[string]answer // by the hash of the reference
}

type answer struct {
	export *Export
	at     time.Time
	end    context.CancelCauseFunc // of what its listing has yet to ask
}

const (
	freshFor    = time.Minute // far less than any signed URL lives
	mostAnswers = 1000        // kept at once
)

func (a *answers) keep(ref Ref, kept answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.ready) >= mostAnswers {
		a.prune()
	}
	if a.ready == nil {
		a.ready = map[string]answer{}
	}
	a.ready[ref.Hash()] = kept
}

// prune drops what is no longer fresh, or all.
func (a *answers) prune() {
	for hash, kept := range a.ready {
		if time.Since(kept.at) > freshFor {
			delete(a.ready, hash)
		}
	}
	if len(a.ready) >= mostAnswers {
		clear(a.ready)
	}
}

// take is the answer that was kept, once and if it is fresh; or nil. What its
// listing asks ends with ctx.
func (a *answers) take(ctx context.Context, ref Ref) *Export {
	a.mu.Lock()
	defer a.mu.Unlock()
	kept, ok := a.ready[ref.Hash()]
	delete(a.ready, ref.Hash())
	if !ok || time.Since(kept.at) > freshFor {
		return nil
	}
	context.AfterFunc(ctx, func() { kept.end(context.Cause(ctx)) })
	return kept.export
}

// outlive is a context that ends with ctx until it is let loose, and then only
// by end.
func outlive(ctx context.Context) (outliving context.Context, loose func() bool, end context.CancelCauseFunc) {
	outliving, end = context.WithCancelCause(context.WithoutCancel(ctx))
	loose = context.AfterFunc(ctx, func() { end(context.Cause(ctx)) })
	return outliving, loose, end
}
