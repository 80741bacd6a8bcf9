package worker

import (
	"encoding/json"
	"errors"
	"io/fs"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/redact"
	"tallyman/verify/archive"
)

// An export fails when its provider uses a status that is not known
// maxUnknownStatuses times in a row, or when maxStarts attempts in a row neither
// end nor receive anything.
const (
	maxUnknownStatuses = 10
	maxStarts          = 10
)

// ErrPanicked is an attempt that panicked in a worker.
var ErrPanicked = errors.New("the attempt panicked")

var (
	errUnknownStatus = errors.New("the provider keeps using a status that is not known")
	errCrashed       = errors.New("its worker died at each of the last attempts, and nothing more was received")
	errSettled       = errors.New("it was cancelled, or has failed, and nobody has asked for it since")
)

// ResetBudget gives an export a new budget of attempts and a new wait for its
// job, as if it had just been asked for. It fails with archive.ErrBusy while the
// export is being fetched, with archive.ErrLanded once it has landed, and with an
// *archive.Damage if what landed is damaged or gone.
func ResetBudget(a *archive.Archive, ref fetch.Ref, o Options) error {
	return resetBudget(a, ref, o, time.Now(), "", nil)
}

// resetBudget is ResetBudget unless refuse, which may be nil, returns an error of what is
// known of the export.
func resetBudget(a *archive.Archive, ref fetch.Ref, o Options, asked time.Time, by string, refuse func(archive.State) error) error {
	if _, err := a.Receipt(ref.Key()); isA[*archive.Damage](err) {
		return err
	}
	s := newState(ref, o, asked)
	s.By = by
	return a.AskUnless(s, refuse)
}

// newState is the state of an export that is asked for.
func newState(ref fetch.Ref, o Options, asked time.Time) archive.State {
	o = o.forRef(ref)
	s := archive.State{Reference: ref.String(), Key: ref.Key(), Asked: asked.UTC(), Profile: o.Profile, Ends: ref.Ends()}
	s.Options, _ = json.Marshal(o) // of times and a bool
	if o.Wait > 0 {
		s.Wait = time.Duration(o.Wait).String()
	}
	return s
}

// cancelRecord drops what was received of an export, and keeps workers from
// fetching it until ResetBudget. It fails as ResetBudget does.
func cancelRecord(a *archive.Archive, ref fetch.Ref, by string) error {
	d, err := a.Record(ref.String(), ref.Key())
	if err != nil {
		return err
	}
	defer d.Close()
	s := newState(ref, Options{}, time.Now())
	s.Schema, s.FirstSeen, s.Changed = d.State.Schema, d.State.FirstSeen, s.Asked
	s.Phase, s.Cause, s.By = archive.Cancelled, "cancelled", by
	d.State = s
	return errors.Join(d.Save(), d.Discard())
}

// ask writes down that the export is wanted, as resetBudget does.
func (r *run) ask(asked time.Time) error {
	o := r.options
	if r.w.Profile != nil {
		o.Profile = r.w.Profile(r.ref)
	}
	return resetBudget(r.w.Archive, r.ref, o, asked, "", r.refuse)
}

// begin writes down that an attempt begins, so that the next one knows if this
// one does not end. The caller calls end if there is no error.
func (r *run) begin() (end func(), err error) {
	a, key := r.w.Archive, r.ref.Key()
	end, err = a.Attempt(r.ref.String(), key)
	if err != nil {
		return nil, err
	}
	if r.justAsked {
		return end, nil
	}
	state, counters, err := a.State(key)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
	case r.isSettled(state):
		err = errSettled
	case state.Asked.IsZero():
		state.Asked = time.Now()
		err = r.ask(state.Asked)
	case counters.Starts >= maxStarts:
		bytes, objects := a.Received(key)
		if err = nil; bytes+objects == counters.Progress { // an object may have no bytes
			err = errCrashed
		}
	}
	r.state, r.counters = state, counters
	if err != nil {
		end()
	}
	return end, err
}

// isSettled reports whether nothing is to be done until someone asks again. A
// caller of Local.Fetch has asked, even if another process gave up meanwhile.
func (r *run) isSettled(s archive.State) bool {
	return s.Phase == archive.Cancelled || s.Phase == archive.Removed || s.Phase == archive.Failed && !r.forCaller
}

// updateCounters changes the counters, if there is anything in them. It does nothing
// if another attempt has the record by now.
func (r *run) updateCounters(change func(*archive.Counters)) {
	if _, counters, err := r.w.Archive.State(r.ref.Key()); err != nil || counters == (archive.Counters{}) {
		return
	}
	d, err := r.w.Archive.Record(r.ref.String(), r.ref.Key())
	if err != nil {
		return
	}
	defer d.Close()
	change(&d.Counters)
	_ = d.SaveCounters()
}

// RecordListing writes down in an archive how a place was listed, and the error that this
// ended with, if any.
func RecordListing(a *archive.Archive, l archive.Listing, failure error) error {
	if failure != nil {
		l.Found, l.New, l.Missing, l.Partial = 0, 0, 0, false
		l.Cause, l.Message = string(Classify(failure).Cause), safeText(failure)
		if call, ok := errors.AsType[*fetch.CallError](failure); ok {
			l.RequestID = redact.Text(call.RequestID)
		}
	}
	return a.RecordListing(l)
}

// record writes down how the place was listed, unless it was a Redis that failed.
func (d *discoverRun) record(failure error) {
	if errors.Is(failure, ErrRedis) {
		return
	}
	l := archive.Listing{Place: d.place.String(), Found: d.listed, New: int(d.enqueued.Load()), Partial: d.filter != Filter{}}
	if d.w.Profile != nil {
		l.Profile = d.w.Profile(d.place)
	}
	if err := RecordListing(d.w.Archive, l, failure); err != nil {
		d.w.Log.Warn("how a place was listed is not recorded", "place", l.Place, "error", safeText(err))
	}
}
