package archive

import (
	"slices"
	"strings"
	"time"

	"tallyman/verify"
	"tallyman/verify/archive/ledger"
)

// A Verdict is what follows from a source's own count of a window. Only LateRows and
// WitnessMismatch are doubts.
type Verdict string

// The verdicts.
const (
	Agrees          Verdict = "agrees"
	LateRows        Verdict = "late-rows"           // fewer landed than are counted while rows may still arrive
	WitnessMismatch Verdict = "witness-mismatch"    // the numbers differ, and nothing explains it
	LowerBound      Verdict = "lower-bound"         // more landed than are counted, and the source does not count all
	NoLonger        Verdict = "no-longer-countable" // more landed than are counted, and the source has dropped rows since
	NotCountable    Verdict = "not-countable"       // what landed, or what it was asked for, can't be counted
)

// lateFor is how long after their time rows may arrive at a source.
const lateFor = 7 * 24 * time.Hour

// A Testimony is what a source says of the records in the window of an export that landed.
// Records are without headers, and verify.Unknown if they are not known.
type Testimony struct {
	Reference string
	Key       string
	Window    ledger.Window
	At        time.Time // when it was counted

	Landed    int64 // records that landed
	Counted   int64 // that the source counts from the first second of the window to the last
	Including int64 // likewise with the second behind the last; it need not be known if Counted agrees

	// Since is when the records begin that the source counts: it does not count earlier
	// ones, for the reason Why, or has them no more, if Gone. It is asked for only if more
	// landed than are counted. Zero: it counts all.
	Since time.Time
	Why   string
	Gone  bool

	Earlier   int64 // the most that it counted before, of the whole window, or verify.Unknown
	RequestID string
}

// Judge holds what landed against what is counted. A job may or may not take the second
// behind its window: that one of the two agrees is enough. The text says the numbers.
func (t *Testimony) Judge() (v Verdict, text string) {
	const all, closed = "[from, to)", "[from, to]"
	landed := (&Receipt{Records: t.Landed}).Rows("record")
	including := max(t.Including, t.Counted) // which is Unknown, or more
	switch {
	case t.Landed == verify.Unknown:
		return NotCountable, "the records that landed can't be counted"
	case t.Counted == verify.Unknown:
		return NotCountable, t.Why
	case t.Landed == t.Counted:
		return Agrees, landed + ", as the source counts in " + all
	case t.Landed == including:
		return Agrees, landed + ", as the source counts in " + closed
	}
	text = landed + " landed, and the source counts " + (&Receipt{Records: t.Counted}).Rows("record")
	switch {
	case t.Landed < including && t.At.Before(time.Unix(t.Window.To, 0).Add(lateFor)):
		return LateRows, text
	case t.Landed < including, t.Earlier >= t.Counted && t.Earlier < t.Landed, !time.Unix(t.Window.From, 0).Before(t.Since):
		return WitnessMismatch, text
	case t.Gone:
		return NoLonger, text + ": " + t.Why
	}
	return LowerBound, text + ": " + t.Why
}

// IsDoubt reports whether the verdict is a reason to look twice.
func (v Verdict) IsDoubt() bool { return v == LateRows || v == WitnessMismatch }

// IsWitnessDoubt reports whether a doubt of an export is that of a verdict.
func IsWitnessDoubt(doubt string) bool {
	return strings.HasPrefix(doubt, string(LateRows)+": ") || strings.HasPrefix(doubt, string(WitnessMismatch)+": ")
}

// Testify writes down what a source says, and what follows from it. A doubt stays one until
// a later testimony of the export, or until a person accepts it.
func (a *Archive) Testify(t Testimony) error {
	verdict, text := t.Judge()
	line := ledger.Line{
		Kind: ledger.Witnessed, Ref: t.Reference, Key: t.Key, Records: t.Landed, Window: &t.Window,
		Counted: t.Counted, Verdict: string(verdict), Message: text, RequestID: t.RequestID,
	}
	if verdict.IsDoubt() {
		line.Doubts = []string{string(verdict) + ": " + text}
	}
	return a.ledger.Append(line)
}

// EarlierCounts returns the line of the last time that the source was asked for its count of
// the window of an export, by the lines that tell of the export, and the most that it counted
// since the export landed last; or nil and verify.Unknown. A count is not among them that was
// not of the whole window even then.
func EarlierCounts(lines []ledger.Line) (last *ledger.Line, most int64) {
	most = verify.Unknown
	for i := range lines {
		switch l := &lines[i]; l.Kind {
		case ledger.Landed:
			last, most = nil, verify.Unknown
		case ledger.Witnessed:
			if last = l; l.Verdict != string(NoLonger) && l.Verdict != string(LowerBound) {
				most = max(most, l.Counted)
			}
		}
	}
	return last, most
}

// CountDue returns when the source of an export is to be asked for its count of the window,
// which it was asked for last, if ever, by the line last: once the window is over, and again
// a day after rows may no longer be late. It is the zero time if that is done.
func CountDue(window ledger.Window, last *ledger.Line) time.Time {
	end := time.Unix(window.To, 0).UTC()
	switch {
	case last == nil:
		return end
	case last.Verdict == string(NotCountable), !last.At.Before(end.Add(lateFor)):
		return time.Time{}
	}
	return end.Add(lateFor + 24*time.Hour)
}

// Doubts returns the reasons to look twice at an export that landed: those of its receipt,
// and of what its source counted last.
func (a *Archive) Doubts(r *Receipt) ([]string, error) {
	for line, err := range a.ledger.Find(r.Key) {
		if err != nil {
			return nil, unreadableLedger(err)
		}
		if line.Kind == ledger.Landed {
			break
		}
		if line.Kind == ledger.Witnessed {
			return slices.Concat(r.Doubts, line.Doubts), nil
		}
	}
	return r.Doubts, nil
}

// SinceLanded returns the lines of the ledger that tell of an export since it landed last,
// that one among them, the oldest first. It reads the ledger backwards: a catalog answers for
// many exports.
func (a *Archive) SinceLanded(key string) (lines []ledger.Line, err error) {
	for line, err := range a.ledger.Find(key) {
		if err != nil {
			return nil, unreadableLedger(err)
		}
		if lines = append(lines, line); line.Kind == ledger.Landed || line.Kind == ledger.Adopted {
			break
		}
	}
	slices.Reverse(lines)
	return lines, nil
}

// EventsOf returns the lines of the ledger that tell of an export, the oldest first. It reads
// the ledger backwards: a catalog answers for many exports.
func (a *Archive) EventsOf(key string) (lines []ledger.Line, err error) {
	for line, err := range a.ledger.Find(key) {
		if err != nil {
			return nil, unreadableLedger(err)
		}
		lines = append(lines, line)
	}
	slices.Reverse(lines)
	return lines, nil
}
