package worker

import (
	"context"
	"sync"

	"tallyman/fetch"
)

// slots are for the exports that a Worker fetches at once. Whoever sends to fetches has one.
// An export that was received and only waits for its commit takes none of them, since many
// that commit together share the work of the disk.
type slots struct{ fetches, commits chan struct{} }

// maxCommits is how many exports may commit at once beside those that are fetched.
const maxCommits = 32

func newSlots(fetches int) slots {
	return slots{make(chan struct{}, max(fetches, 1)), make(chan struct{}, maxCommits)}
}

// hold returns the context to fetch an export with, by who has a slot, and leave, which
// is to be called once that has ended.
func (s slots) hold(ctx context.Context) (held context.Context, leave func()) {
	leaveFetch, leaveCommit := sync.OnceFunc(func() { <-s.fetches }), func() {}
	held = fetch.WithReceived(ctx, sync.OnceFunc(func() {
		select {
		case s.commits <- struct{}{}:
			leaveCommit = func() { <-s.commits }
			leaveFetch()
		default: // those that commit are many already
		}
	}))
	return held, func() {
		leaveCommit()
		leaveFetch()
	}
}
