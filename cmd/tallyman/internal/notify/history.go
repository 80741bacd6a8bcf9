package notify

import (
	"time"

	"tallyman/verify/archive/ledger"
)

// A Record is what the ledger says of how a target was told last.
type Record struct {
	Target string
	Sent   time.Time // when a message was last sent; zero: never
	Failed time.Time // when one could last not be sent, if none was since; else zero
	Tries  int       // that failed since one was sent
}

// Records returns what a ledger says of targets, in their order, at the time now. Of pings it
// says nothing.
func Records(l *ledger.Ledger, targets []Target, now time.Time) ([]Record, error) {
	all := map[subject]*progress{}
	for line, err := range l.OfKind(ledger.Notified) {
		if err != nil {
			return nil, err
		}
		of := subjectOf(&line.Line)
		if all[of] == nil {
			all[of] = &progress{}
		}
		all[of].fold(&line)
	}
	var records []Record
	for i := range targets {
		r := Record{Target: targets[i].Name}
		for _, isDaily := range []bool{false, true} {
			if s := all[subject{r.Target, isDaily}]; s != nil {
				r.add(s, now)
			}
		}
		records = append(records, r)
	}
	return records, nil
}

// add takes in how far a target was told. A claim that holds is no failure yet.
func (r *Record) add(s *progress, now time.Time) {
	if s.sentAt.After(r.Sent) {
		r.Sent = s.sentAt
	}
	failed := s.tries
	if s.isClaimed(now) {
		failed--
	}
	if failed > 0 {
		r.Tries += failed
		if s.claimedAt.After(r.Failed) {
			r.Failed = s.claimedAt
		}
	}
}
