package notify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"tallyman/verify/archive/catalog"
	"tallyman/verify/archive/coverage"
	"tallyman/verify/archive/ledger"
)

// topicOf is what a line tells of, or "".
func topicOf(l *ledger.Line) Topic {
	switch l.Kind {
	case ledger.Failed:
		return Failed
	case ledger.Damaged, ledger.Absent:
		return Damage
	case ledger.Landed, ledger.Witnessed:
		if len(l.Doubts) > 0 {
			return Doubt
		}
	}
	return ""
}

// isFound reports whether there are findings of a topic.
func isFound(topic Topic) bool { return topic == Damage || topic == Unlisted || topic == Gap }

// A finding is something wrong that no line of the ledger tells of by itself.
type finding struct {
	Event
	name string // another for each time that it begins
}

func newFinding(topic Topic, about, cause string, since any) finding {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%v", topic, about, since))
	return finding{Event{topic, about, cause}, hex.EncodeToString(sum[:8])}
}

// maxGaps is how many gaps of one group are told, the last ones.
const maxGaps = 500

// findings looks for places that can't be listed, for what is late and for gaps.
func (w *Watcher) findings(now time.Time) (found []finding, err error) {
	if w.catalog.Cut != nil {
		found = append(found, newFinding(Damage, "the ledger", "cut", w.catalog.Cut.Error()))
	}
	for p, err := range w.catalog.Places() {
		if err != nil {
			return nil, err
		}
		if p.Cause+p.Message != "" && p.Accepted == nil {
			found = append(found, newFinding(Unlisted, p.Name, p.Cause, p.FailedSince.UnixMilli()))
		}
	}
	unmet, err := coverage.Check(w.catalog, w.Expect, now)
	if err != nil {
		return nil, err
	}
	for _, f := range unmet {
		about := strings.TrimSpace(f.Place + " " + f.Group)
		gaps := f.Windows.Gaps
		if f.Late {
			found = append(found, newFinding(Gap, about, "late", f.Last.Unix()))
			gaps = gaps[:max(0, len(gaps)-1)] // the last is what is late
		}
		for _, gap := range gaps[max(0, len(gaps)-maxGaps):] {
			span := fmt.Sprintf("%s, %s", time.Unix(gap.From, 0).UTC().Format("2 Jan 15:04"), gap.Length())
			found = append(found, newFinding(Gap, about, "gap at "+span, gap.From))
		}
	}
	return found, nil
}

// A situation is what is wrong now.
type situation struct {
	sums     map[Topic]int64
	findings []finding
}

// situation asks the catalog, which is read on before.
func (w *Watcher) situation(ctx context.Context, now time.Time) (_ *situation, err error) {
	if w.catalog, err = catalog.Follow(ctx, w.catalog, w.Archive, w.Catalog); err != nil {
		return nil, err
	}
	s := &situation{sums: map[Topic]int64{}}
	if s.findings, err = w.findings(now); err != nil {
		return nil, err
	}
	for _, f := range s.findings {
		s.sums[f.Topic]++
	}
	for p, err := range w.catalog.Places() {
		if err != nil {
			return nil, err
		}
		s.sums[Failed] += p.Phases[catalog.Failed].Exports - p.Settled[catalog.Failed].Exports
		for _, phase := range []catalog.Phase{catalog.Damaged, catalog.Absent} {
			s.sums[Damage] += p.Phases[phase].Exports - p.Settled[phase].Exports
		}
		s.sums[Doubt] += p.Doubts.Exports
	}
	return s, nil
}

// isWrong reports whether something is wrong of what a target wants to hear of.
func (s *situation) isWrong(t *Target) bool {
	return slices.ContainsFunc(t.On, func(topic Topic) bool { return s.sums[topic] > 0 })
}

// names are those of the findings that a target wants to hear of.
func (s *situation) names(t *Target) (names []string) {
	for _, f := range s.findings {
		if slices.Contains(t.On, f.Topic) {
			names = append(names, f.name)
		}
	}
	return names
}

// isRetried reports whether an export that had failed is tried again.
func (w *Watcher) isRetried() (bool, error) {
	for e, err := range w.catalog.Exports(catalog.Filter{Phases: []catalog.Phase{catalog.Asked}, Order: catalog.Unordered}) {
		if err != nil || e.Attempts > 0 {
			return err == nil, err
		}
	}
	return false, nil
}

// digest is what a target is to be told: what lines behind a position tell and still holds,
// and what is found that it does not know. last is the seq of the last line that counts.
func (w *Watcher) digest(t *Target, s *progress, from ledger.Position, last int64, now *situation) (*digest, error) {
	d := &digest{inAll: now.sums, archive: w.Name, hints: w.Hints}
	var err error
	if s.told.Seq == 0 {
		err = w.addAll(d)
	} else {
		err = w.addNews(d, from, last)
	}
	if err != nil {
		return nil, err
	}
	for _, f := range now.findings {
		if !slices.Contains(s.known, f.name) {
			d.events = append(d.events, f.Event)
		}
	}
	d.events = slices.DeleteFunc(d.events, func(e Event) bool { return !slices.Contains(t.On, e.Topic) })
	if s.wrong && !now.isWrong(t) && slices.Contains(t.On, AllClear) {
		retried, err := w.isRetried()
		if err != nil {
			return nil, err
		}
		d.cleared = !retried
	}
	return d, nil
}

// maxTold is how many exports a target is told of that was told nothing before.
const maxTold = 1000

// addAll adds what is wrong with exports, for a target that was told nothing yet.
func (w *Watcher) addAll(d *digest) error {
	for _, f := range []catalog.Filter{
		{Phases: []catalog.Phase{catalog.Damaged, catalog.Absent, catalog.Failed}, Unaccepted: true},
		{Phases: []catalog.Phase{catalog.Landed}, Doubts: true},
	} {
		f.Order, f.Desc, f.Limit = catalog.ByWhen, true, maxTold
		for e, err := range w.catalog.Exports(f) {
			if err != nil {
				return err
			}
			if event, ok := eventOf(&e, Doubt); ok {
				d.events = append(d.events, event)
			}
		}
	}
	return nil
}

// addNews adds what the lines behind a position tell of exports, as far as it holds.
func (w *Watcher) addNews(d *digest, from ledger.Position, last int64) error {
	topics := map[string]Topic{} // by key: what its last line tells
	var keys []string
	for line, err := range w.Archive.Ledger().Since(from) {
		if err != nil {
			return err
		}
		if last > 0 && line.Seq > last {
			break
		}
		topic := topicOf(&line.Line)
		if topic == "" || line.Key == "" {
			continue
		}
		if topics[line.Key] == "" {
			keys = append(keys, line.Key)
		}
		if topics[line.Key] != Damage { // that it was damaged is told, even if it is whole again
			topics[line.Key] = topic
		}
	}
	for _, key := range keys {
		e, err := w.catalog.Export(key)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if event, ok := eventOf(&e, topics[key]); ok {
			d.events = append(d.events, event)
		}
	}
	return nil
}

// eventOf is what is wrong with an export now, of which a line told a topic. It is false if
// nothing is.
func eventOf(e *catalog.Export, topic Topic) (Event, bool) {
	event := Event{Topic: topic, About: e.Ref, Cause: e.Cause}
	switch {
	case e.Phase == catalog.Damaged || e.Phase == catalog.Absent:
		event.Topic, event.Cause = Damage, string(e.Phase)
		return event, e.Accepted == nil
	case e.Phase == catalog.Failed:
		event.Topic = Failed
		return event, e.Accepted == nil
	case e.Phase == catalog.Landed && topic == Damage:
		event.Cause = "whole again"
		return event, true
	case e.Phase == catalog.Landed && e.Open > 0:
		event.Topic = Doubt
		event.Cause, _, _ = strings.Cut(e.Doubts[0], ":")
		return event, true
	}
	return event, false
}
