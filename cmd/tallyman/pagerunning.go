package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/cmd/tallyman/internal/page"
	"tallyman/fetch"
	"tallyman/fetch/redact"
	"tallyman/verify/archive"
	"tallyman/worker"
)

// How many exports the page shows that are under way.
const (
	maxRunning  = 200
	maxRetrying = 20
)

// Running implements page.Source.
func (o *observer) Running(ctx context.Context) (r page.Running) {
	if o.queue == nil {
		r.Unknown = "the page is served without --redis"
		return r
	}
	running, err := o.queue.Running(ctx)
	var retries []worker.QueuedTask
	var all int
	if err == nil {
		retries, all, err = o.queue.Retrying(ctx, maxRetrying)
	}
	var places []worker.WaitingPlace
	if err == nil {
		places, err = o.queue.WaitingPlaces(ctx)
	}
	if err != nil {
		return page.Running{Unknown: redact.Text(err.Error())}
	}
	now := time.Now()
	for _, task := range running[:min(len(running), maxRunning)] {
		r.Exports = append(r.Exports, o.shownRunning(task, now))
	}
	r.More = len(running) - len(r.Exports)
	for _, task := range retries[:min(len(retries), maxRetrying)] {
		r.Retries = append(r.Retries, page.NextTry{Ref: task.Ref.String(), Why: redact.Text(task.Why), Due: cli.FormatDue(task.Next, now)})
	}
	r.MoreRetries = max(0, all-len(r.Retries))
	for _, p := range places {
		shown := page.WaitingPlace{Name: p.Place, Exports: p.Exports}
		if _, err := fetch.ParsePlace(p.Place); err == nil {
			shown.List = page.Query{Place: p.Place, State: "waiting"}.Address()
		}
		if !p.Listed.IsZero() {
			shown.Listed = &p.Listed
		}
		r.Places = append(r.Places, shown)
	}
	return r
}

// shownRunning is an export at which a worker makes an attempt, as the page shows it.
func (o *observer) shownRunning(task worker.QueuedTask, now time.Time) page.RunningExport {
	shown, p := page.RunningExport{Ref: task.Ref.String()}, o.archive.Progress(task.Ref.Key())
	if !task.Fetch && p.Bytes+p.Objects == 0 && p.Size <= 0 { // else its job was ready, and the same task fetches
		shown.Asks = true
		return shown
	}
	rate := o.speeds.note(task.Ref.Key(), p.Bytes, now)
	if p.Bytes+p.Objects > 0 { // small exports are received in memory
		shown.Received = flagvalue.FormatSize(p.Bytes)
	}
	if p.Size > 0 {
		shown.Received = fmt.Sprintf("%s of %s", flagvalue.FormatSize(p.Bytes), flagvalue.FormatSize(p.Size))
		shown.Percent = new(percentOf(p))
	}
	if p.All > 1 {
		shown.Received += fmt.Sprintf(", %d of %d objects done", p.Objects, p.All)
	}
	if rate >= 0 {
		shown.Rate = flagvalue.FormatSize(int64(rate)) + "/s"
	}
	if rate > 0 && p.Size > 0 {
		shown.Left = time.Duration(float64(max(0, p.Size-p.Bytes)) / rate * float64(time.Second)).Round(time.Second).String()
	}
	return shown
}

// percentOf is how much has come, of what is not done never all.
func percentOf(p archive.Progress) int {
	return int(min(99, p.Bytes*100/p.Size))
}

// A rate is of the last seconds, between two looks at what had come.
const (
	rateOver   = 5 * time.Second
	rateForget = time.Minute
)

// speeds remember how far exports had come, to tell how fast they come. The zero value is
// ready, and its methods may be called by many goroutines at once.
type speeds struct {
	mu    sync.Mutex
	marks map[string][2]mark // by key: two looks, the later one at the end
}

type mark struct {
	at    time.Time
	bytes int64
}

// note returns at how many bytes a second an export comes, or -1 if that is not known yet.
func (s *speeds) note(key string, bytes int64, now time.Time) (rate float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.marks == nil {
		s.marks = map[string][2]mark{}
	}
	for other, marks := range s.marks {
		if now.Sub(marks[1].at) > rateForget {
			delete(s.marks, other)
		}
	}
	marks, known := s.marks[key]
	if latest := (mark{now, bytes}); !known || bytes < marks[1].bytes { // what came was of no use, and comes again
		s.marks[key] = [2]mark{latest, latest}
		return -1
	} else if now.Sub(marks[1].at) >= rateOver {
		marks = [2]mark{marks[1], latest}
		s.marks[key] = marks
	}
	since := now.Sub(marks[0].at)
	if since < time.Second {
		return -1
	}
	return float64(bytes-marks[0].bytes) / since.Seconds()
}
