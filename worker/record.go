package worker

import (
	"encoding/json"
	"errors"
	"time"

	"tallyman/fetch"
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
	return resetBudget(a, ref, o, time.Now())
}

func resetBudget(a *archive.Archive, ref fetch.Ref, o Options, asked time.Time) error {
	if _, err := a.Receipt(ref.Key()); isA[*archive.Damage](err) {
		return err
	}
	d, err := a.Record(ref.String(), ref.Key())
	if err != nil {
		return err
	}
	defer d.Close()
	resetRecord(d, o.forRef(ref))
	d.State.Asked = asked.UTC()
	return d.Save()
}

// cancelRecord drops what was received of an export, and keeps workers from
// fetching it until ResetBudget. It fails as ResetBudget does.
func cancelRecord(a *archive.Archive, ref fetch.Ref) error {
	d, err := a.Record(ref.String(), ref.Key())
	if err != nil {
		return err
	}
	defer d.Close()
	resetRecord(d, Options{}.forRef(ref))
	d.State.Phase, d.State.Cause = archive.Cancelled, "cancelled"
	return errors.Join(d.Save(), d.Discard())
}

func resetRecord(d *archive.Record, o Options) {
	now, old := time.Now().UTC(), d.State
	d.State = archive.State{
		Schema: old.Schema, Reference: old.Reference, Key: old.Key, FirstSeen: old.FirstSeen,
		Phase: archive.Waiting, Asked: now, Changed: now,
	}
	d.State.Options, _ = json.Marshal(o) // of times and a bool
	d.Counters = archive.Counters{}
}

// begin writes down that an attempt begins, so that the next one knows if this
// one does not end.
func (r *run) begin() error {
	d, err := r.w.Archive.Record(r.ref.String(), r.ref.Key())
	if err != nil {
		return err
	}
	defer d.Close()
	if r.isSettled(d) {
		return errSettled
	}
	if d.State.Asked.IsZero() {
		resetRecord(d, r.task.Options)
		if err := d.Save(); err != nil {
			return err
		}
	}
	bytes, objects := r.w.Archive.Received(r.ref.Key())
	if progress := bytes + objects; progress != d.Counters.Progress { // an object may have no bytes
		d.Counters.Progress, d.Counters.Starts = progress, 0
	}
	if d.Counters.Starts == maxStarts {
		return errCrashed
	}
	d.Counters.Starts++
	return d.SaveCounters()
}

// isSettled reports whether nothing is to be done until someone asks again. A
// caller of Local.Fetch has asked, even if another process gave up meanwhile.
func (r *run) isSettled(d *archive.Record) bool {
	return d.State.Phase == archive.Cancelled || d.State.Phase == archive.Failed && r.w.local == nil
}

// updateRecord changes the counters. It does nothing if another attempt has the
// record by now.
func (r *run) updateRecord(change func(*archive.Record)) {
	d, err := r.w.Archive.Record(r.ref.String(), r.ref.Key())
	if err != nil {
		return
	}
	defer d.Close()
	change(d)
	_ = d.SaveCounters()
}
