package page

import "time"

// Running is what is under way, by the queue of all workers.
type Running struct {
	Unknown string // why it is not known, or ""

	Exports []RunningExport
	More    int // that run too, and are not among them

	Retries     []NextTry // the first that are due
	MoreRetries int       // that wait too

	Places  []WaitingPlace // whose jobs are waited for
	Waiting int64          // exports that wait for their jobs
}

// A RunningExport is an export at which a worker makes an attempt. Texts are "" where nothing
// is known.
type RunningExport struct {
	Ref      string
	Asks     bool   // only whether its job has ended
	Received string // bytes that are here, and of how many
	Percent  *int   // nil: not known
	Rate     string // at which bytes come
	Left     string // how long it still takes at that rate
}

// A NextTry is an export that waits for its next attempt.
type NextTry struct {
	Ref, Why string
	Due      string
}

// A WaitingPlace is a place whose jobs are waited for.
type WaitingPlace struct {
	Name, List string // the address of the list of the exports
	Exports    int64
	Listed     *time.Time // nil: it was not yet
}
