package catalog

import (
	"time"
)

// A Phase says how an export stands.
type Phase string

// The phases.
const (
	Asked     Phase = "asked" // and neither landed nor given up: it waits for its job, or to be tried again
	Landed    Phase = "landed"
	Failed    Phase = "failed"
	Cancelled Phase = "cancelled"
	Damaged   Phase = "damaged" // it landed, and a recheck found it not to be as it was
	Absent    Phase = "absent"  // it landed, and is gone
	Removed   Phase = "removed" // a person took it out of the lists
)

// Phases are all phases.
var Phases = []Phase{Asked, Landed, Failed, Cancelled, Damaged, Absent, Removed}

// An Acceptance says who takes what is wrong as it is.
type Acceptance struct {
	At     time.Time
	By     string
	Reason string
}

// An Order is what exports are ordered by, before their keys.
type Order string

// The orders.
const (
	ByKey     Order = ""
	ByWhen    Order = "at"
	ByBytes   Order = "bytes"
	ByRecords Order = "records"
)

func timeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
