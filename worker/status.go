package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/redact"
	"tallyman/verify/archive"
)

// An ExportState is where an export stands.
type ExportState string

// The states of exports.
const (
	StateLanded    ExportState = "landed"    // in the archive, proven
	StateRunning   ExportState = "running"   // an attempt is being made
	StateWaiting   ExportState = "waiting"   // for its job, or to be tried again
	StateQueued    ExportState = "queued"    // for a worker
	StateIdle      ExportState = "idle"      // begun, but in no queue that is known
	StateFailed    ExportState = "failed"    // no attempt is left, or its bag is damaged
	StateCancelled ExportState = "cancelled" // until it is asked for again

	StateRemoved ExportState = "removed" // from the lists, by a person

	StateKnown ExportState = "known" // of a Submission: it was in the queue before
)

// A Status tells how one export fares.
type Status struct {
	Reference string // "" if only the Key is known, since its bag is damaged
	Key       string
	State     ExportState
	Receipt   *archive.Receipt // of an export that has landed, else nil

	Record   *archive.State // what is written down of one that has not landed, or nil
	Counters archive.Counters
	Received int64     // bytes of it that are kept for the next attempt
	Next     time.Time // when it is tried again, or zero

	Cause   Cause  // why it has not landed yet, or ""
	Message string // the error or the answer behind that, without secrets
}

// A StatusReader tells how exports fare, by the archive and by what the queue
// had when the StatusReader was made. It is for one goroutine.
type StatusReader struct {
	Quarantined []QueuedTask // tasks that no worker takes, since they can't be read
	Unreadable  []string     // references of exports whose record can't be read; All collects them

	// Of tells how far an export is by the ledger, for one who reads it by an index. It fails
	// with fs.ErrNotExist if the ledger knows nothing of it. nil: the ledger is searched.
	Of func(key string) (archive.State, error)

	Intervals map[string]time.Duration // how far apart the last two listings of each place were whose jobs are waited for

	client *Client
	tasks  map[string]QueuedTask // by the hash of the export
}

// Status reads the queue, if there is one, and returns a StatusReader.
func (c *Client) Status(ctx context.Context) (*StatusReader, error) {
	s := &StatusReader{client: c, tasks: map[string]QueuedTask{}}
	if c.Queue == nil {
		return s, nil
	}
	var err error
	if s.Intervals, err = c.Queue.intervals(ctx); err != nil {
		return nil, err
	}
	for task, err := range c.Queue.Tasks(ctx) {
		switch {
		case err != nil:
			return nil, err
		case task.Ref.Scheme() == "":
			s.Quarantined = append(s.Quarantined, task)
		case !task.Quarantined:
			s.tasks[task.Ref.Hash()] = task
		}
	}
	return s, nil
}

// Export tells how one export fares. It fails with ErrUnknownExport if neither
// the archive nor the queue knows it.
func (s *StatusReader) Export(ref fetch.Ref) (Status, error) {
	receipt, err := s.receipt(ref)
	if receipt != nil || err != nil {
		return landedStatus(ref.String(), ref.Key(), receipt, err), nil
	}
	stateOf := s.client.Archive.State
	if s.Of != nil {
		stateOf = func(key string) (archive.State, archive.Counters, error) { return s.client.Archive.StateBy(key, s.Of) }
	}
	record, counters, err := stateOf(ref.Key())
	task, queued := s.tasks[ref.Hash()]
	switch {
	case err == nil:
		return s.pendingStatus(ref, record, counters), nil
	case !errors.Is(err, fs.ErrNotExist):
		return Status{}, err
	case queued:
		return Status{Reference: task.Ref.String(), Key: task.Ref.Key(), State: StateQueued}, nil // no worker has seen it
	case s.Of != nil:
		return Status{}, fmt.Errorf("%s: %w", ref, ErrUnknownExport)
	}
	return Status{}, s.client.CheckKnown(ref)
}

// receipt is FindReceipt, which is not asked of what has not landed by an index and has no
// bag: it would search the ledger.
func (s *StatusReader) receipt(ref fetch.Ref) (*archive.Receipt, error) {
	if s.Of != nil {
		state, err := s.Of(ref.Key())
		if errors.Is(err, fs.ErrNotExist) || err == nil && state.Phase != "" {
			if _, err := os.Stat(s.client.Archive.Path(ref.Key())); errors.Is(err, fs.ErrNotExist) {
				return nil, nil
			}
		}
	}
	return FindReceipt(s.client.Archive, ref)
}

// All yields the Status of each export that the archive or the queue knows. It
// ends with the first error.
func (s *StatusReader) All(ctx context.Context) iter.Seq2[Status, error] {
	return func(yield func(Status, error) bool) {
		a := s.client.Archive
		damaged := map[string]bool{}
		for _, keys := range []iter.Seq2[string, error]{a.All(), a.Absent()} {
			for key, err := range keys {
				if err := cmp.Or(err, context.Cause(ctx)); err != nil {
					yield(Status{}, err)
					return
				}
				receipt, err := a.Receipt(key)
				if damaged[key] = err != nil; !yield(landedStatus("", key, receipt, err), nil) {
					return
				}
			}
		}
		for status, err := range s.Pending(ctx, a.States()) {
			if !damaged[status.Key] && !yield(status, err) { // it may have landed meanwhile
				return
			}
		}
	}
}

// Pending yields the Status of each export of which a State is known and that has not
// landed, and then of those that only the queue knows. It reads no bag, and ends with the
// first error.
func (s *StatusReader) Pending(ctx context.Context, states iter.Seq2[archive.State, error]) iter.Seq2[Status, error] {
	return func(yield func(Status, error) bool) {
		a := s.client.Archive
		for record, err := range states {
			if err := cmp.Or(err, context.Cause(ctx)); err != nil {
				yield(Status{}, err)
				return
			}
			ref, readable := fetch.RefAt(record.Key, record.Reference)
			if record.Kept {
				ref, _, readable = RefOf(record)
			}
			if !readable {
				s.Unreadable = append(s.Unreadable, record.Reference)
				continue
			}
			var counters archive.Counters
			if record.Kept {
				_, counters, err = a.State(ref.Key())
			}
			if err == nil && !yield(s.pendingStatus(ref, record, counters), nil) {
				return
			}
			if len(s.tasks) > 0 {
				delete(s.tasks, ref.Hash())
			}
		}
		for _, task := range s.tasks {
			receipt, err := FindReceipt(a, task.Ref)
			unseen := Status{Reference: task.Ref.String(), Key: task.Ref.Key(), State: StateQueued}
			if receipt == nil && err == nil && !yield(unseen, nil) {
				return
			}
		}
	}
}

// landedStatus is of an export that has a bag. The error is of reading it.
func landedStatus(reference, key string, receipt *archive.Receipt, err error) Status {
	if damage, ok := errors.AsType[*archive.Damage](err); ok {
		reference = cmp.Or(reference, damage.Reference)
	}
	if err != nil {
		return Status{Reference: reference, Key: key, State: StateFailed, Cause: Classify(err).Cause, Message: redact.Text(err.Error())}
	}
	return Status{Reference: receipt.Reference, Key: key, State: StateLanded, Receipt: receipt}
}

// pendingStatus is of an export that has a record and no bag.
func (s *StatusReader) pendingStatus(ref fetch.Ref, record archive.State, counters archive.Counters) Status {
	a := s.client.Archive
	var task QueuedTask
	var queued bool
	if len(s.tasks) > 0 {
		task, queued = s.tasks[ref.Hash()]
	}
	status := Status{
		Reference: record.Reference, Key: ref.Key(), Record: &record, Counters: counters,
		Cause: Cause(record.Cause), Message: cmp.Or(record.Message, counters.Status, task.Why),
	}
	if record.Kept {
		status.Received, _ = a.Received(ref.Key())
	}
	status.Counters.Polls = max(status.Counters.Polls, task.Polls)
	switch {
	case !isPending(record):
		status.State = ExportState(record.Phase)
	case a.Busy(ref.Key()):
		status.State = StateRunning
	case !task.Next.IsZero():
		status.State, status.Next = StateWaiting, task.Next
	case queued:
		status.State = StateQueued
	default:
		status.State = StateIdle
		if s.client.Queue == nil {
			break
		}
		// Its task may have moved while the queue was listed.
		if queued, err := s.client.Queue.Queued(ref.Hash()); err == nil && queued {
			status.State = StateQueued
		}
	}
	return status
}
