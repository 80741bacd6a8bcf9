package main

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/cmd/tallyman/internal/notify"
	"tallyman/cmd/tallyman/internal/page"
)

// How old what is told of targets may be, and for how long one who asks waits for it: all of
// the ledger is read for it.
const (
	recordsAge      = time.Minute
	recordsPatience = 100 * time.Millisecond
)

// records are how the targets of notify: were told last, read when somebody asks. The zero
// value is ready, and its methods may be called by many goroutines at once.
type records struct {
	mu   sync.Mutex
	last []notify.Record
	err  error
	at   time.Time     // when they were read; zero: they were not yet
	read chan struct{} // closed once they are; nil: nobody reads them
}

// get returns them, and when they were read, which is zero if that takes longer.
func (r *records) get(ctx context.Context, read func() ([]notify.Record, error)) ([]notify.Record, time.Time, error) {
	r.mu.Lock()
	if r.read == nil && time.Since(r.at) > recordsAge {
		done := make(chan struct{})
		r.read = done
		go func() {
			all, err := read()
			r.mu.Lock()
			r.last, r.err, r.at, r.read = all, err, time.Now(), nil
			r.mu.Unlock()
			close(done)
		}()
	}
	reading := r.read
	r.mu.Unlock()
	if reading != nil {
		select {
		case <-reading:
		case <-time.After(recordsPatience):
		case <-ctx.Done():
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last, r.at, r.err
}

// Notifications implements page.Source.
func (o *observer) Notifications(ctx context.Context) (n page.Notifications, err error) {
	all, at, err := o.records.get(ctx, func() ([]notify.Record, error) {
		return notify.Records(o.archive.Ledger(), o.app.Notify, time.Now())
	})
	if err != nil {
		return n, unsecret(err)
	}
	n.Known = !at.IsZero()
	for i, t := range o.app.Notify {
		shown := page.Notified{Name: t.Name, By: string(t.By), When: whenTold(&t)}
		if shown.IsPing = t.By == notify.Ping; !shown.IsPing && n.Known {
			shown.Tries = all[i].Tries
			if !all[i].Sent.IsZero() {
				shown.Sent = &all[i].Sent
			}
			if !all[i].Failed.IsZero() {
				shown.Failed = &all[i].Failed
			}
		}
		n.Targets = append(n.Targets, shown)
	}
	return n, nil
}

// whenTold says in words of what a target is told.
func whenTold(t *notify.Target) string {
	if t.By == notify.Ping {
		return "every " + flagvalue.FormatDuration(t.Every) + " while a worker is well"
	}
	var topics []string
	for _, topic := range t.On {
		if topic != notify.Daily {
			topics = append(topics, string(topic))
		}
	}
	said := strings.Join(topics, ", ")
	if slices.Contains(t.On, notify.Daily) {
		if said != "" {
			said += "; "
		}
		said += "daily at " + time.Time{}.Add(t.At).Format("15:04")
	}
	return said
}
