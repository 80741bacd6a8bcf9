package notify

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"tallyman/verify/archive"
	"tallyman/verify/archive/catalog"
	"tallyman/verify/archive/coverage"
	"tallyman/verify/archive/ledger"
)

const (
	lookEvery  = 15 * time.Second // how often the ledger is read, at the least
	findEvery  = 5 * time.Minute  // how often it is looked for what no line tells, at the most
	findShare  = 50               // it takes no more than one in so many parts of the time
	stopWithin = 3 * time.Second  // what is being sent once the watcher is to stop
)

// tries are the pauses before the tries of one claim, whose lease is longer than all of them
// take.
var tries = []time.Duration{0, 5 * time.Second, 20 * time.Second}

// A Watcher reads the ledger of an archive, and tells targets what happens. Any number of
// them may watch one ledger, in any number of processes: a message is sent by the one that
// says first in the ledger that it is about to send it. If that one is killed before it says
// that it has sent it, another sends it again, so that a message may come twice, but is not
// lost.
type Watcher struct {
	Archive *archive.Archive
	Name    string // of the archive, for people
	Catalog catalog.Options
	Expect  []coverage.Expectation
	Hints   map[string]string // of causes of failures, what to do, in 36 columns
	Targets []Target
	Well    func(context.Context) error // says why a ping is not to be sent; nil: it always is
	Log     *slog.Logger

	send    func(context.Context, *Target, Message) error // nil: Target.Send
	catalog *catalog.Catalog
	sending sync.WaitGroup
	failing string // what is logged already

	position ledger.Position
	folded   int64 // the seq of the last line that is in the progress
	progress map[subject]*progress
	news     map[string]*news // by target
	nextFind time.Time        // when it is looked for findings next
}

// news are what a target may want to hear of and was not told.
type news struct {
	since time.Time       // when the first was seen; zero: there is none
	from  ledger.Position // the lines behind it are to be looked at
}

// Run watches until ctx ends. What it is sending then it may send to its end, but not for
// long: another goes on with the rest.
func (w *Watcher) Run(ctx context.Context) {
	sendCtx, end := context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		defer time.AfterFunc(stopWithin, end).Stop()
		w.sending.Wait()
		end()
		_ = w.catalog.Close() // which was only read
	}()
	every := lookEvery
	for i := range w.Targets {
		if w.Targets[i].By != Ping {
			every = min(every, max(w.Targets[i].Gather, time.Second))
			continue
		}
		w.sending.Go(func() { w.ping(ctx, &w.Targets[i]) })
	}
	for ; ctx.Err() == nil; sleep(ctx, every) {
		err := w.look(ctx, sendCtx)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if text != w.failing && ctx.Err() == nil && err != nil {
			w.Log.Warn("nobody is notified: the archive can't be watched", "error", err)
		}
		w.failing = text
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// look reads what is new, and begins to send what nobody else does.
func (w *Watcher) look(ctx, sendCtx context.Context) error {
	err := w.read()
	if errors.Is(err, ledger.ErrMoved) { // the ledger was replaced: it is read from its beginning
		w.progress = nil
		err = w.read()
	}
	if err != nil {
		return err
	}
	now := time.Now()
	if err := w.find(ctx, now); err != nil {
		return err
	}
	for i := range w.Targets {
		t := &w.Targets[i]
		if t.By == Ping {
			continue
		}
		if err := w.tell(ctx, sendCtx, t, now); err != nil {
			return err
		}
		if err := w.tellDaily(ctx, sendCtx, t, now); err != nil {
			return err
		}
	}
	return nil
}

// begin reads what the ledger says of the targets, and goes to the first line that one of
// them was not told of.
func (w *Watcher) begin() error {
	w.progress, w.folded, w.position, w.news = map[subject]*progress{}, 0, ledger.Position{}, map[string]*news{}
	for line, err := range w.Archive.Ledger().OfKind(ledger.Notified) {
		if err != nil {
			w.progress = nil
			return err
		}
		w.fold(&line)
	}
	for i := range w.Targets {
		t := &w.Targets[i]
		s := w.progressOf(subject{target: t.Name})
		if s.told.Seq > 0 && (w.position.Seq == 0 || s.told.Seq < w.position.Seq) {
			w.position = s.told
		}
		w.news[t.Name] = &news{from: s.told}
		if s.told.Seq == 0 {
			w.news[t.Name].since = time.Now()
		}
	}
	return nil
}

// progressOf is that of a subject.
func (w *Watcher) progressOf(of subject) *progress {
	if w.progress[of] == nil {
		w.progress[of] = &progress{}
	}
	return w.progress[of]
}

// fold takes in a line that tells of a message.
func (w *Watcher) fold(line *ledger.Placed) {
	if line.Seq > w.folded {
		w.progressOf(subjectOf(&line.Line)).fold(line)
		w.folded = line.Seq
	}
}

// read takes in what is new in the ledger.
func (w *Watcher) read() error {
	if w.progress == nil {
		if err := w.begin(); err != nil {
			return err
		}
	}
	for line, err := range w.Archive.Ledger().Since(w.position) {
		if err != nil {
			return err
		}
		w.position = line.Position()
		switch line.Kind {
		case ledger.Notified:
			w.fold(&line)
			continue
		case ledger.Listed:
			w.nextFind = time.Time{}
		}
		for i := range w.Targets {
			t := &w.Targets[i]
			s := w.progressOf(subject{target: t.Name})
			n := w.news[t.Name]
			if n.since.IsZero() && line.Seq > n.from.Seq && t.By != Ping && (slices.Contains(t.On, topicOf(&line.Line)) || s.wrong && slices.Contains(t.On, AllClear)) {
				n.since = time.Now()
			}
		}
	}
	return nil
}

// find looks for what no line tells, from time to time.
func (w *Watcher) find(ctx context.Context, now time.Time) error {
	wants := func(t Target) bool { return slices.ContainsFunc(t.On, isFound) }
	if now.Before(w.nextFind) || !slices.ContainsFunc(w.Targets, wants) {
		return nil
	}
	s, err := w.situation(ctx, now)
	if err != nil {
		return err
	}
	w.nextFind = now.Add(max(findEvery, findShare*time.Since(now)))
	for i := range w.Targets {
		t := &w.Targets[i]
		known := w.progressOf(subject{target: t.Name}).known
		isNew := slices.ContainsFunc(s.names(t), func(name string) bool { return !slices.Contains(known, name) })
		if n := w.news[t.Name]; n.since.IsZero() && (isNew || len(known) > 0 && len(s.findings) == 0) {
			n.since = now
		}
	}
	return nil
}
