package catalog

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"tallyman/verify/archive"
	"tallyman/verify/archive/ledger"
)

// A change is what a line of a kind does to the export that it tells of.
type change struct {
	stands   Phase                         // how far the export is then, or "": as before
	presence Phase                         // whether it is in its place then, or "": as before
	keeps    bool                          // what was wrong before stays so
	also     func(*row, *ledger.Line)      // what else, or nil
	place    func(*placeRow, *ledger.Line) // what it does to a place, of lines that have no key
}

// folds says what lines of each kind change. A line with a key tells of an export, and
// one without of a place.
var folds = map[ledger.Kind]change{
	ledger.Asked:     {stands: Asked, also: foldAsked},
	ledger.Landed:    {stands: Landed, presence: Landed, also: foldLanded},
	ledger.Adopted:   {stands: Landed, presence: Landed, also: foldLanded},
	ledger.Restored:  {stands: Landed, presence: Landed, also: foldLanded},
	ledger.Failed:    {stands: Failed, also: foldFailed},
	ledger.Cancelled: {stands: Cancelled, also: func(r *row, _ *ledger.Line) { r.cause = "cancelled" }},
	ledger.Damaged:   {presence: Damaged, also: foldDamaged},
	ledger.Absent:    {presence: Absent, also: foldDamaged},
	ledger.Healed:    {presence: Landed},
	ledger.Removed:   {stands: Removed, presence: Removed},
	ledger.Accepted:  {keeps: true, also: foldAccepted, place: acceptPlace},
	ledger.Witnessed: {keeps: true, also: foldWitnessed},
	ledger.Ready:     {keeps: true, also: foldEnds},
	ledger.Listed:    {place: foldListed},
	ledger.Rechecked: {place: foldRechecked},
}

// fold works a line into a row.
func (r *row) fold(l *ledger.Line, is change) {
	r.setRef(l.Ref)
	at := l.At.UnixMilli()
	gone := r.presence == Damaged || r.presence == Absent
	if is.stands != "" {
		r.stands = is.stands
	}
	switch {
	case is.presence != "":
		r.presence = is.presence
	case is.stands != "" && r.presence == Removed: // it is wanted again
		r.presence = ""
	}
	if !is.keeps && (is.presence != "" || !gone) { // only what says that it is there again ends damage
		r.cause, r.message, r.requestID = "", "", ""
		if r.acceptedDoubts == "" { // else it holds again once the bag does
			r.acceptedAt, r.acceptedBy, r.acceptedReason = 0, "", ""
		}
		r.changed = at
	}
	if is.also != nil && (is.presence != "" || is.keeps || !gone || is.stands == Asked) {
		is.also(r, l)
	}
	r.phase = r.stands
	if r.presence != "" {
		r.phase = r.presence
	}
	if r.phase != Asked {
		r.ready, r.ends = 0, 0
	}
	r.countOpen()
}

func foldAsked(r *row, l *ledger.Line) {
	r.asked, r.profile, r.wait = l.At.UnixMilli(), l.Profile, l.Wait
	if r.firstAsked == 0 {
		r.firstAsked = r.asked
	}
	foldEnds(r, l)
}

// foldEnds takes in until when what is to be fetched is there: the latest that is known, since
// it is there at least so long.
func foldEnds(r *row, l *ledger.Line) {
	if l.Ends.IsZero() {
		return
	}
	r.ends = max(r.ends, l.Ends.UnixMilli())
	if r.ready == 0 {
		r.ready = l.At.UnixMilli()
	}
}

func foldLanded(r *row, l *ledger.Line) {
	if l.Kind == ledger.Landed || r.landed == 0 {
		r.landed = cmp.Or(l.LandedAt, l.At).UnixMilli()
	}
	r.bytes, r.records, r.bag, r.doubts = l.Bytes, l.Records, l.Bag, ""
	r.first = newFirst(l)
	if len(l.Doubts) > 0 {
		r.doubts = jsonOf(l.Doubts)
	}
	r.attempts++
}

func foldFailed(r *row, l *ledger.Line) {
	r.cause, r.message, r.requestID = l.Cause, l.Message, l.RequestID
	r.attempts++
}

func foldDamaged(r *row, l *ledger.Line) {
	r.cause, r.message = "damaged", strings.Join(l.Problems, "; ")
}

// foldAccepted binds to the doubts that the line names, or else to what is wrong.
func foldAccepted(r *row, l *ledger.Line) {
	r.acceptedAt, r.acceptedBy, r.acceptedReason = l.At.UnixMilli(), l.By, l.Reason
	if len(l.Doubts) > 0 {
		r.acceptedDoubts = jsonOf(l.Doubts)
	}
}

// foldWitnessed adds the doubts of a witness to those of the landing, in place of those of
// its earlier counts.
func foldWitnessed(r *row, l *ledger.Line) {
	var doubts []string
	_ = json.Unmarshal([]byte(r.doubts), &doubts) // none if it is ""
	doubts = append(slices.DeleteFunc(doubts, archive.IsWitnessDoubt), l.Doubts...)
	if r.doubts = ""; len(doubts) > 0 {
		r.doubts = jsonOf(doubts)
	}
}

// foldListed notes how a listing of a place went.
func foldListed(p *placeRow, l *ledger.Line) {
	p.Tried = l.At.UTC()
	wasListed := p.Cause+p.Message == ""
	switch isListed := l.Cause+l.Message == ""; {
	case isListed:
		p.Listed = p.Tried
		if p.Part = (Count{p.Tried, l.Found, l.New, l.Missing}); !l.Partial {
			p.Whole, p.Part = p.Part, Count{}
		}
		p.FailedSince, p.Accepted = time.Time{}, nil
	case wasListed || l.Cause != p.Cause:
		p.FailedSince, p.Accepted = p.Tried, nil
	}
	p.Profile, p.Cause, p.Message, p.RequestID = l.Profile, l.Cause, l.Message, l.RequestID
}

func foldRechecked(p *placeRow, l *ledger.Line) {
	p.Rechecked = append(slices.DeleteFunc(p.Rechecked, func(r Recheck) bool { return r.Part == l.Part || l.Part == "" }),
		Recheck{l.At.UTC(), l.Part, l.Checked, l.Worst})
}

// acceptPlace binds to the window that the line names, or else to the error by which a
// place can't be listed.
func acceptPlace(p *placeRow, l *ledger.Line) {
	if l.Window != nil {
		p.AcceptedWindows = append(p.AcceptedWindows, AcceptedWindow{*l.Window, Acceptance{l.At.UTC(), l.By, l.Reason}})
		return
	}
	if p.Cause+p.Message != "" && (l.Cause == "" || l.Cause == p.Cause) {
		p.Accepted = &Acceptance{l.At.UTC(), l.By, l.Reason}
	}
}
