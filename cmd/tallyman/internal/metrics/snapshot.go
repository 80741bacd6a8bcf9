package metrics

import (
	"time"

	"tallyman/verify/archive"
	"tallyman/worker"
)

// A Snapshot is what there is to know at one time. What is not known is zero or nil, and
// becomes no metric.
type Snapshot struct {
	Places []Place
	Causes map[string]int64 // exports that have failed and that nobody has accepted, by cause
	Cut    bool             // the ledger lacks lines that were read before

	Disk *archive.Space

	Redis   *bool // it answers; nil if there is none
	Queues  []worker.QueueSize
	Waiting int64 // exports that wait for their jobs without a task
}

// A Place is what is known of one place. Its exports are counted as 'tallyman status' does.
type Place struct {
	Name       string
	Exports    map[string]int64 // by state
	Doubts     int64            // of those that landed, the ones with doubts that nobody has accepted
	Missing    *int64           // found when it was listed, and not asked for
	Bytes      int64            // of what landed
	Records    int64
	Listed     time.Time
	LastLanded time.Time
	Proven     time.Time
	Due        time.Time     // when it is to be listed next, by the schedule
	Interval   time.Duration // between two listings by the schedule; 0: it is in no schedule
	Unlisted   bool          // it can't be listed, and nobody has accepted that
	Mismatched int64         // of what landed, that of which the source counts other records, and that nobody has accepted
	Expected   bool          // something is expected of it: that it covers a time, or that something lands
	Gaps       time.Duration // of that time, what lacks and is no longer under way
	Ending     int64         // of what waits, that which at the present rate won't land before it is gone
	Late       bool          // what was due after the last is not there
}

// maxPlaces is how many places have metrics of their own. The others, the last by name,
// are added up as one.
const maxPlaces = 500

// otherPlaces is the name of the place that stands for all behind maxPlaces.
const otherPlaces = "(other)"

// bounded returns at most maxPlaces places, and one for the others.
func bounded(places []Place) []Place {
	if len(places) <= maxPlaces {
		return places
	}
	other := Place{Name: otherPlaces, Exports: map[string]int64{}}
	for _, p := range places[maxPlaces:] {
		for state, n := range p.Exports {
			other.Exports[state] += n
		}
		other.Doubts, other.Bytes, other.Records = other.Doubts+p.Doubts, other.Bytes+p.Bytes, other.Records+p.Records
		other.Unlisted, other.Mismatched = other.Unlisted || p.Unlisted, other.Mismatched+p.Mismatched
		other.Expected, other.Late, other.Gaps = other.Expected || p.Expected, other.Late || p.Late, other.Gaps+p.Gaps
		other.Ending += p.Ending
		if p.Missing != nil {
			if other.Missing == nil {
				other.Missing = new(int64)
			}
			*other.Missing += *p.Missing
		}
	}
	return append(places[:maxPlaces:maxPlaces], other)
}
