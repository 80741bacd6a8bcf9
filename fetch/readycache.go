package fetch

import (
	"context"
	"sync"
	"time"
)

// readyCache are those of jobs that were ready when Poll asked them, each for the
// one Fetch that follows soon.
type readyCache struct {
	mu      sync.Mutex
	entries map[string]readyExport // by the hash of the reference
}

type readyExport struct {
	export *Export
	at     time.Time
	end    context.CancelCauseFunc // of what its listing has yet to ask
}

const (
	readyFor = time.Minute // far less than any signed URL lives
	maxReady = 1000        // kept at once
)

func (a *readyCache) keep(ref Ref, kept readyExport) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.entries) >= maxReady {
		a.prune()
	}
	if a.entries == nil {
		a.entries = map[string]readyExport{}
	}
	a.entries[ref.Hash()] = kept
}

// prune drops what is no longer fresh, or all.
func (a *readyCache) prune() {
	for hash, kept := range a.entries {
		if time.Since(kept.at) > readyFor {
			delete(a.entries, hash)
		}
	}
	if len(a.entries) >= maxReady {
		clear(a.entries)
	}
}

// take is the answer that was kept, once and if it is fresh; or nil. What its
// listing asks ends with ctx.
func (a *readyCache) take(ctx context.Context, ref Ref) *Export {
	a.mu.Lock()
	defer a.mu.Unlock()
	kept, ok := a.entries[ref.Hash()]
	delete(a.entries, ref.Hash())
	if !ok || time.Since(kept.at) > readyFor {
		return nil
	}
	context.AfterFunc(ctx, func() { kept.end(context.Cause(ctx)) })
	return kept.export
}

// detach is a context that ends with ctx until it is let loose, and then only
// by end.
func detach(ctx context.Context) (outliving context.Context, loose func() bool, end context.CancelCauseFunc) {
	outliving, end = context.WithCancelCause(context.WithoutCancel(ctx))
	loose = context.AfterFunc(ctx, func() { end(context.Cause(ctx)) })
	return outliving, loose, end
}
