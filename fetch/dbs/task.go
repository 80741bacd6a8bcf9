package dbs

import (
	"strings"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/internal/api"
	"tallyman/verify"
)

// A task is what we read of one, from DescribeDownloadTask.
type task struct {
	ID             api.LenientString `json:"TaskId"`
	DownloadStatus api.LenientString
	Format         api.LenientString // "csv", "sql", "parquet"
	TargetType     api.LenientString // "URL", "OSS"
	TargetPath     api.LenientString // in the bucket
	Progress       api.LenientString // "2/3": tables downloaded, and all tables
	GmtCreate      api.LenientString // milliseconds or seconds since 1970

	answer *api.Answer // the page's, with nothing but this task as its body
}

// states are the words of DownloadStatus in lower case: the service spells them
// in more than one way. An unknown word is no state.
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

// kept is how long the service keeps the file of a task that has finished.
const kept = 3 * 24 * time.Hour

// life is how long the file of a task that has finished is there. When it finished the
// service does not say: that was after the task was created. What lies in a bucket of the
// task's owner stays there.
func (t *task) life() fetch.Lifetime {
	if t.state() != fetch.Ready || t.TargetType != "" && !strings.EqualFold(string(t.TargetType), "URL") {
		return fetch.Lifetime{}
	}
	return fetch.Lifetime{Ended: timeOf(t.GmtCreate), Lasts: kept}
}

// An exportAnswer is what a receipt keeps of the service's answers.
type exportAnswer struct {
	Task    any
	File    any    `json:",omitempty"` // where it is, without a signature
	Expires string `json:",omitempty"` // when its URL does
}

// tables returns how many tables have been downloaded, and how many there are:
// both are verify.Unknown if Progress can't be read.
func (t *task) tables() (done, all int64) {
	before, behind, _ := strings.Cut(string(t.Progress), "/")
	done = api.LenientString(strings.TrimSpace(before)).Count()
	all = api.LenientString(strings.TrimSpace(behind)).Count()
	if done < 0 || all < 0 {
		return verify.Unknown, verify.Unknown
	}
	return done, all
}

// fewMilliseconds is the number below which a time is in seconds: the service's
// documentation says milliseconds, and its sample is in seconds.
const fewMilliseconds = 100_000_000_000

// timeOf returns the time that l is, or the zero time.
func timeOf(l api.LenientString) time.Time {
	if l.Count() < fewMilliseconds {
		return l.Seconds()
	}
	return l.Milliseconds()
}
