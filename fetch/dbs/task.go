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
	ID             api.Loose `json:"TaskId"`
	DownloadStatus api.Loose
	Format         api.Loose
	TargetType     api.Loose
	TargetPath     api.Loose
	Progress       api.Loose
	GmtCreate      api.Loose

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
		State: t.state(), Status: t.answer.Line(string(t.DownloadStatus)), Percent: t.percent(),
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
	done = api.Loose(strings.TrimSpace(text)).Count()
	all = api.Loose(strings.TrimSpace(behind)).Count()
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

// Times end in the year 10000, in milliseconds. What is less than
// fewMilliseconds is told in seconds: the service's page says milliseconds of a
// sample in seconds.
const (
	fewMilliseconds = 100_000_000_000
	year10000       = 253402300800_000
)

// at is the time that l holds, or zero where that can't be read.
func at(l api.Loose) time.Time {
	switch n := l.Count(); {
	case n <= 0 || n >= year10000:
		return time.Time{}
	case n < fewMilliseconds:
		return time.Unix(n, 0).UTC()
	default:
		return time.UnixMilli(n).UTC()
	}
}

func (t *task) created() time.Time { return at(t.GmtCreate) }
