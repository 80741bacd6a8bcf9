package fetch

import (
	"context"
	"maps"
	"sync"
	"time"
)

// A readyCache keeps what Poll found ready, each for the one Fetch that follows
// soon.
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

// keep keeps an export. If too many are kept, it drops those that are no longer
// fresh, or else all.
func (c *readyCache) keep(ref Ref, kept readyExport) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.entries) >= maxReady {
		maps.DeleteFunc(c.entries, func(_ string, kept readyExport) bool { return time.Since(kept.at) > readyFor })
	}
	if len(c.entries) >= maxReady {
		clear(c.entries)
	}
	if c.entries == nil {
		c.entries = map[string]readyExport{}
	}
	c.entries[ref.Hash()] = kept
}

// take returns the export that was kept, once, and nil if it is not fresh. From
// then on the calls that list its objects end with ctx.
func (c *readyCache) take(ctx context.Context, ref Ref) *Export {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept, ok := c.entries[ref.Hash()]
	delete(c.entries, ref.Hash())
	if !ok || time.Since(kept.at) > readyFor {
		return nil
	}
	context.AfterFunc(ctx, func() { kept.end(context.Cause(ctx)) })
	return kept.export
}
