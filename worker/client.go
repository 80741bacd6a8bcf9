package worker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"strings"
	"time"

	"tallyman/fetch"
	"tallyman/verify/archive"
)

var (
	// ErrUnknownExport is an export that has never been seen.
	ErrUnknownExport = errors.New("the archive knows nothing of it")
	// ErrSignedURL is a signed URL where only a reference without a secret can
	// be used: it is never stored, so nobody but the process that was given it
	// could fetch it.
	ErrSignedURL = errors.New("the secret of a signed URL is stored nowhere")
)

// A Client asks for exports and tells how they fare. It fetches nothing itself.
// Its methods may be called by many goroutines at once.
type Client struct {
	Archive *archive.Archive // may be nil for Enqueue, which then passes over nothing
	Queue   *Queue           // may be nil for Cancel, Failed and Status

	Profile func(fetch.Ref) string // as that of a Worker
	By      string                 // who retries and cancels, for the ledger; "": nobody knows
}

// A Submission is what came of asking for an export.
type Submission struct {
	State ExportState // StateQueued, StateKnown, StateLanded, StateFailed, StateCancelled or StateRemoved
	Cause Cause       // of StateFailed
}

// EnqueueOptions say how an export is wanted.
type EnqueueOptions struct {
	Wait  time.Duration // for the job to become ready; 0 is as long as the worker waits
	Again time.Time     // unless zero, what has landed is fetched once more, as a revision of this time
}

// Enqueue has the workers wait for an export's job and fetch it. To ask for an
// export twice is harmless: what has landed is StateLanded, what the queue has
// is StateKnown, and what has failed or was cancelled stays so until Retry. The
// error of one that has landed tells that it lacks what ref promises. A signed
// URL fails with ErrSignedURL.
func (c *Client) Enqueue(ctx context.Context, ref fetch.Ref, o EnqueueOptions) (Submission, error) {
	if ref.Signed() {
		return Submission{}, fmt.Errorf("enqueue %s: %w", ref, ErrSignedURL)
	}
	receipt, err := FindReceipt(c.Archive, ref)
	switch {
	case (receipt != nil || err != nil) && !o.Again.IsZero():
		ref = NextRevision(c.Archive, ref, o.Again)
	case receipt != nil && receipt.Hidden != "":
		return Submission{}, fmt.Errorf("enqueue %s: compare it with %w: that landed for a query, which is hidden, and may be another file", ref, fetch.ErrReceiptMismatch)
	case receipt != nil:
		return Submission{State: StateLanded}, fetch.CheckReceipt(ref, receipt)
	case err != nil:
		return Submission{}, err
	}
	if c.Archive != nil {
		if record, _, err := c.Archive.State(ref.Key()); err == nil && !isPending(record) {
			return Submission{ExportState(record.Phase), Cause(record.Cause)}, nil
		}
	}
	return c.enqueue(ctx, ref, Options{Wait: Duration(o.Wait)})
}

func (c *Client) enqueue(ctx context.Context, ref fetch.Ref, o Options) (Submission, error) {
	added, err := c.Queue.Enqueue(ctx, ref, o)
	if added {
		return Submission{State: StateQueued}, err
	}
	return Submission{State: StateKnown}, err
}

// Retry gives an export a new budget of attempts and moves it to the end of the
// queue. What was received of it is not fetched again. An export that has landed
// is StateLanded. Retry fails with archive.ErrBusy while the export is being
// fetched.
func (c *Client) Retry(ctx context.Context, ref fetch.Ref) (Submission, error) {
	var o Options
	if record, _, err := c.Archive.State(ref.Key()); err == nil {
		_, o, _ = RefOf(record)
	}
	if c.Profile != nil {
		o.Profile = c.Profile(ref)
	}
	err := resetBudget(c.Archive, ref, o, time.Now(), c.By, nil)
	if errors.Is(err, archive.ErrLanded) {
		return Submission{State: StateLanded}, nil
	}
	if err != nil {
		return Submission{}, err
	}
	if _, err := c.Queue.Remove(ref.Hash()); err != nil {
		return Submission{}, err
	}
	return c.enqueue(ctx, ref, o)
}

// Failed yields the exports that have failed by a cause, or by any cause if it
// is "", but none that failed by a cause of except. An error stands for one export
// that can't be retried; the others follow. It wraps ErrSignedURL if the export was a
// signed URL.
func (c *Client) Failed(cause Cause, except ...Cause) iter.Seq2[fetch.Ref, error] {
	return func(yield func(fetch.Ref, error) bool) {
		for record, err := range c.Archive.States() {
			if err == nil && (record.Phase != archive.Failed || cause != "" && record.Cause != string(cause) || slices.Contains(except, Cause(record.Cause))) {
				continue
			}
			ref, o, ok := RefOf(record)
			switch {
			case err != nil:
			case !ok:
				err = fmt.Errorf("retry %s: another version of tallyman has written its state", record.Reference)
			case o.Signed:
				err = fmt.Errorf("retry %s: %w", ref, ErrSignedURL)
			}
			if !yield(ref, err) {
				return
			}
		}
	}
}

// How long Cancel waits for a worker to let go of an export, and how often it
// looks.
const (
	cancelTimeout  = 15 * time.Second
	cancelInterval = 200 * time.Millisecond
)

// Cancel takes an export out of the queue, ends the attempt at it that runs,
// and drops what was received. The export stays cancelled until Retry,
// ResetBudget or Local.Fetch ask for it again. Cancel fails with
// ErrUnknownExport, with archive.ErrLanded once the export has landed, and with
// archive.ErrBusy if an attempt does not end within 15 seconds.
func (c *Client) Cancel(ctx context.Context, ref fetch.Ref) error {
	if err := c.CheckKnown(ref); err != nil {
		if c.Queue == nil {
			return err
		}
		queued, queueErr := c.Queue.Queued(ref.Hash())
		if queueErr != nil {
			return queueErr
		}
		if !queued {
			return err
		}
	}
	for end := time.Now().Add(cancelTimeout); ; {
		if c.Queue != nil {
			if _, err := c.Queue.Remove(ref.Hash()); err != nil { // a worker that runs it holds the record, or sees later that it is cancelled
				return err
			}
		}
		err := cancelRecord(c.Archive, ref, c.By)
		if err == nil && c.Queue != nil { // the attempt that has just ended may have had it wait for its job
			_, err = c.Queue.Remove(ref.Hash())
		}
		if !errors.Is(err, archive.ErrBusy) || time.Now().After(end) {
			return err
		}
		if err := fetch.Sleep(ctx, cancelInterval); err != nil {
			return err
		}
	}
}

// Remove takes an export out of the queue and out of the archive's lists, as
// archive.Remove does. It fails as that does, and with ErrUnknownExport.
func (c *Client) Remove(ctx context.Context, ref fetch.Ref, r archive.Removal) error {
	_, _, err := c.Archive.State(ref.Key())
	receipt, damage := FindReceipt(c.Archive, ref)
	if receipt == nil && damage == nil && err != nil {
		return fmt.Errorf("%s: %w", ref, ErrUnknownExport)
	}
	r.Reference, r.Key = ref.String(), ref.Key()
	for end := time.Now().Add(cancelTimeout); ; {
		if c.Queue != nil {
			if _, err := c.Queue.Remove(ref.Hash()); err != nil {
				return err
			}
		}
		err := c.Archive.Remove(r)
		if !errors.Is(err, archive.ErrBusy) || c.Queue == nil || time.Now().After(end) {
			return err
		}
		if err := fetch.Sleep(ctx, cancelInterval); err != nil {
			return err
		}
	}
}

// CheckKnown fails with ErrUnknownExport unless the archive has seen the export, and
// with an *archive.Damage if what landed is damaged or gone.
func (c *Client) CheckKnown(ref fetch.Ref) error {
	_, _, err := c.Archive.State(ref.Key())
	receipt, damage := FindReceipt(c.Archive, ref)
	if isA[*archive.Damage](damage) {
		return damage
	}
	if receipt == nil && err != nil {
		return fmt.Errorf("%s: %w", ref, ErrUnknownExport)
	}
	return nil
}

// FindReceipt returns the receipt of an export, or nil if it has not landed or
// there is no archive. An error means that the export's bag is damaged or can't
// be read.
func FindReceipt(a *archive.Archive, ref fetch.Ref) (*archive.Receipt, error) {
	if a == nil {
		return nil, nil
	}
	receipt, err := a.Receipt(ref.Key())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return receipt, err
}

// NextRevision returns ref with the first revision that has not landed, from a
// time on. Revisions are a second apart.
func NextRevision(a *archive.Archive, ref fetch.Ref, from time.Time) fetch.Ref {
	for ; ; from = from.Add(time.Second) {
		revision := ref.WithRevision(from)
		if receipt, err := FindReceipt(a, revision); receipt == nil && err == nil {
			return revision
		}
	}
}

// NextNewOnly returns ref for the objects under a prefix that no bag has: the
// revision for them that was begun and has not landed, or else the next one.
func NextNewOnly(a *archive.Archive, ref fetch.Ref, from time.Time) fetch.Ref {
	for record := range a.States() {
		begun, _, ok := RefOf(record)
		if !ok || !begun.NewOnly() || !strings.HasPrefix(begun.Key(), ref.Key()+"@") {
			continue
		}
		if receipt, err := FindReceipt(a, begun); receipt == nil && err == nil {
			return begun
		}
	}
	return NextRevision(a, ref, from).WithNewOnly()
}
