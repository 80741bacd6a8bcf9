package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/fetch/redact"
	"tallyman/verify"
	"tallyman/verify/archive"
	"tallyman/worker"
)

// healthLine is what /readyz answers, and what health prints with --json.
type healthLine struct {
	Schema  string        `json:"schema"`
	Ready   bool          `json:"ready"`
	Version string        `json:"version,omitempty"`
	Checks  []healthCheck `json:"checks"`
}

// A healthCheck is one thing that a process needs.
type healthCheck struct {
	Check  string `json:"check"` // "process", "redis", "archive" or "disk"
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"` // only for who may see the page
}

// A readiness tells whether a process can work: a worker fetch, or one that only shows the
// page read the archive. What it needs is tried when somebody asks, and not too often.
type readiness struct {
	archive  *archive.Archive
	queue    *worker.Queue // nil if there is none
	reads    func(context.Context) error
	isWorker bool

	mu        sync.Mutex
	stopping  bool
	redisAway time.Time // since when
	tried     time.Time
	last      []healthCheck
}

const (
	// retryAfter is how long what was tried counts.
	retryAfter = 2 * time.Second
	// redisGrace is how long a Redis may be away that the worker rides out.
	redisGrace = time.Minute
)

// check tries what the process needs, or tells how that was a moment ago.
func (r *readiness) check(ctx context.Context) healthLine {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.tried) > retryAfter {
		r.last = []healthCheck{r.checkArchive(ctx)}
		if r.isWorker {
			r.last = append(r.last, r.checkDisk())
		}
		if r.queue != nil {
			r.last = append(r.last, r.checkRedis(ctx))
		}
		r.tried = time.Now()
	}
	line := healthLine{Schema: "tallyman.health/v1", Ready: !r.stopping, Checks: []healthCheck{{"process", !r.stopping, ""}}}
	if r.stopping {
		line.Checks[0].Detail = "it was told to stop"
	}
	for _, c := range r.last {
		line.Checks = append(line.Checks, c)
		line.Ready = line.Ready && c.OK
	}
	return line
}

// stop says that the process was told to stop.
func (r *readiness) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopping = true
}

// checkArchive tries whether the archive can be written to and locked, or else read.
func (r *readiness) checkArchive(ctx context.Context) healthCheck {
	try := r.reads
	if r.isWorker {
		try = func(context.Context) error { return r.archive.Probe() }
	}
	if err := try(ctx); err != nil {
		return healthCheck{"archive", false, redact.Text(err.Error())}
	}
	return healthCheck{"archive", true, ""}
}

// checkDisk tells whether a fetch may begin.
func (r *readiness) checkDisk() healthCheck {
	space, known := r.archive.Space()
	if !known {
		return healthCheck{"disk", true, "this system does not tell what is free"}
	}
	detail := fmt.Sprintf("%s of %s are free", flagvalue.FormatSize(space.Free), flagvalue.FormatSize(space.Total))
	if space.Free <= space.Kept {
		return healthCheck{"disk", false, fmt.Sprintf("%s, and %s are kept free", detail, flagvalue.FormatSize(space.Kept))}
	}
	if space.Files != verify.Unknown && space.Files < space.KeptFiles {
		return healthCheck{"disk", false, fmt.Sprintf("%d files more can be made", space.Files)}
	}
	return healthCheck{"disk", true, detail}
}

// checkRedis tells whether Redis answers, or has done so a short while ago.
func (r *readiness) checkRedis(ctx context.Context) healthCheck {
	_, err := r.queue.Ping(ctx)
	if err == nil {
		r.redisAway = time.Time{}
		return healthCheck{"redis", true, ""}
	}
	if r.redisAway.IsZero() {
		r.redisAway = time.Now()
	}
	away := time.Since(r.redisAway)
	return healthCheck{"redis", away < redisGrace || !r.isWorker, fmt.Sprintf("away for %v: %s", away.Round(time.Second), redact.Text(err.Error()))}
}
