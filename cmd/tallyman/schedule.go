package main

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/goccy/go-yaml/ast"

	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/fetch"
	"tallyman/worker"
)

// leastEvery is how often a place may be listed: to list it costs calls.
const leastEvery = time.Minute

// entrySettings are those of an entry of the schedule, and the types of flags
// that their values are like.
var entrySettings = map[string]struct {
	kind string
	set  func(*worker.ScheduleEntry, string) error
}{
	"place": {"string", func(e *worker.ScheduleEntry, s string) (err error) { e.Place, err = fetch.ParsePlace(s); return err }},
	"cron":  {"string", func(e *worker.ScheduleEntry, s string) error { e.Cron = s; return worker.CheckCron(s) }},
	"since": {"string", func(e *worker.ScheduleEntry, s string) error { e.Since = s; _, err := since(s); return err }},
	"match": {"string", func(e *worker.ScheduleEntry, s string) error { e.Match = s; _, err := path.Match(s, ""); return err }},
	"wait":  {"DURATION", func(e *worker.ScheduleEntry, s string) error { return (*flagvalue.Duration)(&e.Wait).Set(s) }},
	"every": {"DURATION", func(e *worker.ScheduleEntry, s string) error {
		if err := (*flagvalue.Duration)(&e.Every).Set(s); err != nil {
			return err
		}
		if e.Every < leastEvery {
			return fmt.Errorf("want at least %v", leastEvery)
		}
		return nil
	}},
}

// since is the time that a text names, now.
func since(text string) (time.Time, error) {
	return flagvalue.ParseTime(text, time.Now())
}

func (c *config) schedule(node ast.Node) error {
	list, ok := node.(*ast.SequenceNode)
	if !ok {
		return c.bad(node, "want a list of {place: sls://REGION/PROJECT/, every: 1h}")
	}
	for _, value := range list.Values {
		entry, err := c.entry(value)
		if err != nil {
			return err
		}
		c.o.schedule = append(c.o.schedule, entry)
	}
	return nil
}

func (c *config) entry(node ast.Node) (entry worker.ScheduleEntry, err error) {
	err = c.each(node, func(key, value ast.Node, name string) error {
		setting, ok := entrySettings[name]
		if !ok {
			return c.bad(key, "%s: there is no such setting of a schedule, only place, every or cron, since, match and wait", name)
		}
		text, err := c.text(value, setting.kind)
		if err != nil {
			return err
		}
		if err := setting.set(&entry, text); err != nil {
			return c.bad(value, "%s: %w", name, err)
		}
		return nil
	})
	if err == nil {
		err = whole(entry)
		if err != nil {
			err = c.bad(node, "%w", err)
		}
	}
	return entry, err
}

// whole tells what an entry lacks.
func whole(entry worker.ScheduleEntry) error {
	switch {
	case !entry.Place.IsPlace():
		return errors.New("want a place like sls://REGION/PROJECT/")
	case (entry.Every == 0) == (entry.Cron == ""):
		return errors.New("want one of every and cron, as every: 1h")
	}
	return nil
}

// serves is the queue that a worker serves. One that has a schedule needs no
// Redis, if it is alone: then the queue is in this process.
func (o *options) serves(ctx context.Context) (queue *worker.Queue, stop func(), err error) {
	if o.redis.URL() != "" || len(o.schedule) == 0 {
		return o.queueOf(ctx, nil)
	}
	queue, stop = worker.NewEmbeddedQueue()
	return queue, stop, nil
}

// listers are those of the providers that can list the jobs of a place.
func listers(providers map[string]fetch.Provider) map[string]fetch.Lister {
	all := map[string]fetch.Lister{}
	for scheme, provider := range providers {
		if lister, ok := provider.(fetch.Lister); ok {
			all[scheme] = lister
		}
	}
	return all
}
