package notify

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"tallyman/verify/archive/catalog"
	"tallyman/verify/archive/ledger"
)

// tell sends a target what is new, unless there is nothing, it is too soon, or another does.
func (w *Watcher) tell(ctx, sendCtx context.Context, t *Target, now time.Time) error {
	of := subject{target: t.Name}
	s, n := w.progressOf(of), w.news[t.Name]
	isDue := !n.since.IsZero() && !now.Before(n.since.Add(t.Gather)) && !now.Before(s.sentAt.Add(t.Interval))
	isLeft := s.by != "" // by one who could not send it
	if s.isClaimed(now) || !isDue && !isLeft {
		return nil
	}
	d, _, err := w.compose(ctx, t, 0, now)
	if err != nil {
		return err
	}
	n.since = time.Time{} // before more is read
	if _, ok := d.message(); !ok && !isLeft && s.told.Seq > 0 {
		n.from = w.position
		return nil
	}
	mine, err := w.claim(of, "")
	if err != nil || !mine {
		n.since = now
		return err
	}
	d, sent, err := w.compose(ctx, t, s.claim.Seq, now)
	if err != nil {
		return err
	}
	m, ok := d.message()
	if !ok {
		return w.Archive.Ledger().Append(sent)
	}
	w.deliver(ctx, sendCtx, t, m, sent)
	return nil
}

// maxKnown is how many findings the ledger keeps of a target.
const maxKnown = 5000

// compose makes the digest of what a target is to be told, of the lines up to last, and the
// line that says that it was sent.
func (w *Watcher) compose(ctx context.Context, t *Target, last int64, now time.Time) (*digest, ledger.Line, error) {
	s := w.progressOf(subject{target: t.Name})
	sent := ledger.Line{Kind: ledger.Notified, Ref: t.Name, By: s.by, Sent: true}
	situation, err := w.situation(ctx, now)
	if err != nil {
		return nil, sent, err
	}
	sent.Told = situation.names(t)
	sent.Told = sent.Told[:min(len(sent.Told), maxKnown)]
	if situation.isWrong(t) {
		sent.Worst = wrong
	}
	n := w.news[t.Name]
	if n.from.Seq < s.told.Seq { // perhaps by another, a moment ago
		n.from = s.told
	}
	d, err := w.digest(t, s, n.from, last, situation)
	return d, sent, err
}

// tellDaily sends the message of the day once it is due.
func (w *Watcher) tellDaily(ctx, sendCtx context.Context, t *Target, now time.Time) error {
	of, day := subject{t.Name, true}, now.Format(time.DateOnly)
	s := w.progressOf(of)
	midnight := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
	if !slices.Contains(t.On, Daily) || now.Before(midnight.Add(t.At)) || day <= s.day || s.isClaimed(now) {
		return nil
	}
	situation, err := w.situation(ctx, now)
	if err != nil {
		return err
	}
	d := &digest{inAll: situation.sums, archive: w.Name, hints: w.Hints}
	if err := w.addAll(d); err != nil {
		return err
	}
	for _, f := range situation.findings {
		d.events = append(d.events, f.Event)
	}
	landed, err := w.catalog.Count(catalog.Filter{Phases: []catalog.Phase{catalog.Landed}, Since: now.Add(-24 * time.Hour)})
	if err != nil {
		return err
	}
	waiting, err := w.catalog.Count(catalog.Filter{Phases: []catalog.Phase{catalog.Asked}})
	if err != nil {
		return err
	}
	mine, err := w.claim(of, day)
	if err != nil || !mine {
		return err
	}
	w.deliver(ctx, sendCtx, t, d.daily(now, landed, waiting.Exports), ledger.Line{Kind: ledger.Notified, Ref: t.Name, By: s.by, Day: day, Sent: true})
	return nil
}

// claim says in the ledger that a message is about to be sent, and reports whether nobody
// has said so before.
func (w *Watcher) claim(of subject, day string) (mine bool, err error) {
	token := rand.Text()
	if err := w.Archive.Ledger().Append(ledger.Line{Kind: ledger.Notified, Ref: of.target, By: token, Day: day}); err != nil {
		return false, fmt.Errorf("say that %s is to be notified: %w", of.target, err)
	}
	if err := w.read(); err != nil {
		return false, err
	}
	return w.progressOf(of).by == token, nil
}

// deliver sends a message that was claimed, and then says so in the ledger. It does not wait.
// Once ctx ends it does not try again.
func (w *Watcher) deliver(ctx, sendCtx context.Context, t *Target, m Message, sent ledger.Line) {
	m.ID, m.Archive = sent.By, w.Archive.ID()
	send := w.send
	if send == nil {
		send = func(ctx context.Context, t *Target, m Message) error { return t.Send(ctx, m) }
	}
	w.sending.Go(func() {
		var err error
		for _, pause := range tries {
			sleep(ctx, pause)
			if err = send(sendCtx, t, m); err == nil || errors.Is(err, ErrRefused) || ctx.Err() != nil {
				break
			}
		}
		if err != nil {
			w.Log.Warn("not notified: it is tried again later", "target", t.Name, "title", m.Title, "error", err)
			return
		}
		w.Log.Info("notified", "target", t.Name, "title", m.Title)
		sent.Message = m.Title
		if err := w.Archive.Ledger().Append(sent); err != nil {
			w.Log.Warn("the ledger does not know who was notified: it is sent again", "target", t.Name, "error", err)
		}
	})
}

// ping asks for a URL for as long as all is well, until ctx ends.
func (w *Watcher) ping(ctx context.Context, t *Target) {
	told := ""
	for ; ctx.Err() == nil; sleep(ctx, t.Every) {
		var err error
		if w.Well != nil {
			err = w.Well(ctx)
		}
		if err == nil {
			err = t.Send(ctx, Message{})
		}
		text := ""
		if err != nil {
			text = err.Error()
		}
		if text != told && text != "" && ctx.Err() == nil {
			w.Log.Warn("no ping is sent", "target", t.Name, "error", err)
		}
		told = text
	}
}
