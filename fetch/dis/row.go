package dis

import (
	"strings"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/internal/api"
)

// A row of a dump task's log is one delivery, to one file.
type row struct {
	File        api.LenientString `json:"transferFileName"`
	State       api.LenientString `json:"state"`
	Destination api.LenientString `json:"destinationType"`
	StartTime   api.LenientString `json:"startTime"`
	EndTime     api.LenientString `json:"endTime"`
	Bytes       api.LenientString `json:"transferBytes"`
	Records     api.LenientString `json:"transferRecordsNum"`
	Stream      api.LenientString `json:"streamId"`
	Project     api.LenientString `json:"projectId"`

	answer *api.Answer // this row of it alone
}

// readRow is not ok if there is nothing in it.
func readRow(a *api.Answer, text []byte) (*row, bool) {
	r := new(row)
	if api.Unmarshal(text, r) != nil || *r == (row{}) {
		return nil, false
	}
	alone := *a
	alone.Body = text
	r.answer = &alone
	return r, true
}

// states are those that are known of deliveries that have ended. The vendor's
// page does not tell of the field at all, its sample shows 0 alone.
var states = map[api.LenientString]fetch.State{"": fetch.Ready, "0": fetch.Ready}

// state is where a delivery stands. Only an end makes one of an unknown state a
// failure, and only an end makes a file whole.
func (r *row) state() fetch.State {
	state, known := states[r.State]
	switch {
	case r.ended() && known:
		return state
	case r.ended():
		return fetch.Failed
	case known:
		return fetch.Running
	}
	return ""
}

func (r *row) ended() bool { return r.EndTime.Count() > 0 }

// status is the service's own number, with a word to it.
func (r *row) status() string {
	return strings.TrimSpace("state " + api.OneLine(string(r.State)))
}

func (r *row) export() *fetch.Export {
	return &fetch.Export{
		State:     r.state(),
		Status:    r.status(),
		Percent:   -1,
		RequestID: r.answer.RequestID,
		Records:   r.Records.Count(),
		Answer:    answered{Row: r.answer.Scrubbed()},
	}
}

// created is when the delivery began, or else the time in the file's name.
func (r *row) created() time.Time {
	if start := r.StartTime.Milliseconds(); !start.IsZero() {
		return start
	}
	name := string(r.File)
	return api.LenientString(name[strings.LastIndexByte(name, '.')+1:]).Milliseconds()
}

// stream is the name in TASK_ID.STREAM.NUMBER.MILLISECONDS, which is how files
// are named, or else what the row calls the stream's ID: its page calls that
// the name.
func (r *row) stream(task string) string {
	rest, ok := strings.CutPrefix(string(r.File), task+".")
	parts := strings.Split(rest, ".")
	if !ok || len(parts) < 3 {
		return string(r.Stream)
	}
	return strings.Join(parts[:len(parts)-2], ".")
}
