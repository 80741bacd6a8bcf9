package dbs

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/internal/api"
	"tallyman/verify"
)

// A task is what we read of one, as DescribeDownloadTask tells it.
type task struct {
	ID             api.LenientString `json:"TaskId"`
	DownloadStatus api.LenientString
	Format         api.LenientString
	TargetType     api.LenientString
	TargetPath     api.LenientString
	Progress       api.LenientString
	GmtCreate      api.LenientString

	answer *api.Answer // the page's, with nothing in it but the task
}

// readTask decodes what it can of a task.
func readTask(a *api.Answer, text json.RawMessage) *task {
	own := *a
	own.Body = text
	t := &task{answer: &own}
	_ = api.Unmarshal(text, t)
	return t
}

func (t *task) check() error {
	if t.DownloadStatus == "" {
		return t.answer.Refusal("", "the answer tells no status of the task: "+t.answer.Excerpt(), fetch.ErrTemporary)
	}
	return nil
}

// states are those of the words in lower case: the service spells them in more
// than one way.
var states = map[string]fetch.State{
	"initializing": fetch.Pending,
	"queueing":     fetch.Pending,
	"queuing":      fetch.Pending,
	"running":      fetch.Running,
	"finished":     fetch.Ready,
	"failed":       fetch.Failed,
	"expired":      fetch.Expired,
}

func (t *task) state() fetch.State { return states[strings.ToLower(string(t.DownloadStatus))] }

// answered is what a receipt tells of a task.
type answered struct {
	Task    any
	File    any    `json:",omitempty"` // where it is, without a signature
	Expires string `json:",omitempty"` // its URL
}

func (t *task) export() *fetch.Export {
	export := &fetch.Export{
		State: t.state(), Status: api.OneLine(string(t.DownloadStatus)), Percent: t.percent(),
		RequestID: t.answer.RequestID, Records: verify.Unknown, Answer: answered{Task: t.answer.Scrubbed()},
	}
	if done, all := t.tables(); export.State == fetch.Ready && done < all {
		export.Doubts = []string{fmt.Sprintf("the task finished with %d of %d tables", done, all)}
	}
	return export
}

// tables are how many have been downloaded, and how many there are in all: both
// verify.Unknown where that can't be read.
func (t *task) tables() (done, all int64) {
	text, behind, _ := strings.Cut(string(t.Progress), "/")
	done = api.LenientString(strings.TrimSpace(text)).Count()
	all = api.LenientString(strings.TrimSpace(behind)).Count()
	if done < 0 || all < 0 {
		return verify.Unknown, verify.Unknown
	}
	return done, all
}

// percent is -1 while it is not known how many tables there are.
func (t *task) percent() int {
	done, all := t.tables()
	if all <= 0 || done > all {
		return -1
	}
	return int(float64(done) / float64(all) * 100)
}

// fewMilliseconds is the number under which a time is in seconds: the service's
// documentation says milliseconds, of a sample in seconds.
const fewMilliseconds = 100_000_000_000

// timeOf returns the zero time if l is no time.
func timeOf(l api.LenientString) time.Time {
	if l.Count() < fewMilliseconds {
		return l.Seconds()
	}
	return l.Milliseconds()
}
