// Package doctor judges what exports need to land: credentials, clock, network, Redis,
// file system and limits. It changes nothing that stays.
//
// Its words:
//
//   - A check is one thing that is looked at, such as redis.version.
//   - A finding is what a check found: ok, warn (exports land, and sooner or later
//     something will go wrong) or fail (exports do not land). Unless all is well, it says
//     what to do.
package doctor

import "fmt"

// A State says how much a finding matters.
type State string

// The States.
const (
	OK   State = "ok"
	Warn State = "warn"
	Fail State = "fail"
)

// Schema names the form of a Finding in JSON.
const Schema = "tallyman.check/v1"

// A Finding is what one check found.
type Finding struct {
	Schema  string `json:"schema"`
	Check   string `json:"check"`            // such as redis.version
	State   State  `json:"state"`            // ok, warn or fail
	Message string `json:"message"`          // what was found, without secrets
	Advice  string `json:"advice,omitempty"` // what to do, unless it is ok
}

// A Report takes findings, in the order in which they are made.
type Report struct {
	Tell   func(Finding) // is called with each
	Counts map[State]int // how many were made; nil until the first
}

// OK tells that a check has found nothing wrong.
func (r *Report) OK(check, format string, args ...any) {
	r.add(Finding{Check: check, State: OK, Message: fmt.Sprintf(format, args...)})
}

// Warn tells of what will go wrong one day, and what to do.
func (r *Report) Warn(check, advice, format string, args ...any) {
	r.add(Finding{Check: check, State: Warn, Message: fmt.Sprintf(format, args...), Advice: advice})
}

// Fail tells of what keeps exports from landing, and what to do.
func (r *Report) Fail(check, advice, format string, args ...any) {
	r.add(Finding{Check: check, State: Fail, Message: fmt.Sprintf(format, args...), Advice: advice})
}

func (r *Report) add(f Finding) {
	if r.Counts == nil {
		r.Counts = map[State]int{}
	}
	f.Schema = Schema
	r.Counts[f.State]++
	r.Tell(f)
}
