package notify

import (
	"time"

	"tallyman/verify/archive/ledger"
)

// A subject is what is claimed: the messages of a target, or its daily ones.
type subject struct {
	target  string
	isDaily bool
}

func subjectOf(l *ledger.Line) subject { return subject{l.Ref, l.Day != ""} }

// A progress is what the ledger says of a subject: how far its target was told, and who is
// about to tell it more. Whoever reads the lines in their order comes to the same.
type progress struct {
	told   ledger.Position // of the claim of the last message that was sent; zero: there was none
	sentAt time.Time
	day    string   // of the last daily message
	known  []string // names of the findings that were told and stood then
	wrong  bool     // something was, when it was told last

	claim     ledger.Position // of the line that holds; zero: none
	by        string
	claimedAt time.Time
	tries     int // claims since the last message that was sent
}

// The time that a claim holds: another may take over from one who was killed, or could not
// send it. It grows with each claim in vain.
const (
	firstLease = 2 * time.Minute
	lastLease  = time.Hour
)

// until is when the claim ends.
func (s *progress) until() time.Time {
	return s.claimedAt.Add(min(firstLease<<min(s.tries-1, 10), lastLease))
}

// isClaimed reports whether somebody is about to send a message.
func (s *progress) isClaimed(now time.Time) bool { return s.by != "" && now.Before(s.until()) }

// fold takes in a line. A claim holds unless another does, and what was sent counts if the
// claim of it holds.
func (s *progress) fold(l *ledger.Placed) {
	switch {
	case l.Sent && l.By == s.by:
		s.told, s.known, s.wrong = s.claim, l.Told, l.Worst == wrong
		if l.Message != "" { // else there was nothing to tell
			s.sentAt = l.Line.At
		}
		s.day = max(s.day, l.Day)
		s.by, s.claim, s.tries = "", ledger.Position{}, 0
	case l.Sent || s.isClaimed(l.Line.At) || l.Day != "" && l.Day <= s.day:
	default:
		s.claim, s.by, s.claimedAt = l.Position(), l.By, l.Line.At
		s.tries++
	}
}

// wrong is the worst of a line that says that something was.
const wrong = "wrong"
