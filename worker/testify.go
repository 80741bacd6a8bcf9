package worker

import (
	"context"
	"errors"
	"time"

	"tallyman/fetch"
	"tallyman/verify"
	"tallyman/verify/archive"
	"tallyman/verify/archive/ledger"
)

// A Testifier holds exports that landed against what their sources count. It may be used by
// many goroutines and processes at once.
type Testifier struct {
	Archive *archive.Archive
	// Witness is the service of a reference, if it counts by itself.
	Witness func(ref fetch.Ref) (fetch.Witness, bool)
	// Events are the lines of the ledger that tell of an export since it landed last, or more
	// of them.
	Events func(key string) ([]ledger.Line, error)
	// Header tells from how many exports it is known that a first record of that SHA-256 is the
	// header of the CSV files of a group of windows in a place, or 0 if it is not. It may be nil.
	Header func(place, group, sha256 string) (exports int64, err error)
}

// ErrNoWitness says that the service of an export has no count of its own.
var ErrNoWitness = errors.New("its service has no count of its own")

// Testify asks about an export that landed and its window, which may be nil, and writes down
// what the source says. It returns how many calls that took. It fails with ErrNoWitness, or as
// fetch.Testify does.
func (t *Testifier) Testify(ctx context.Context, ref fetch.Ref, window *ledger.Window) (testimony archive.Testimony, calls int, err error) {
	service, ok := t.Witness(ref)
	place, inPlace := ref.Place()
	if !ok || !inPlace {
		return testimony, 0, ErrNoWitness
	}
	receipt, err := t.Archive.Receipt(ref.Key())
	if err != nil {
		return testimony, 0, err
	}
	rows, err := t.rows(receipt, place, window)
	if err != nil {
		return testimony, 0, err
	}
	lines, err := t.Events(ref.Key())
	if err != nil {
		return testimony, 0, err
	}
	_, earlier := archive.EarlierCounts(lines)
	testimony = archive.Testimony{Landed: rows, Counted: verify.Unknown, Why: "its job named no window"}
	if window != nil {
		asked := fetch.Window{Place: place, Group: window.Group, From: time.Unix(window.From, 0).UTC(), To: time.Unix(window.To, 0).UTC()}
		testimony, calls, err = fetch.Testify(ctx, service, asked, rows, earlier)
	}
	if testimony.Reference, testimony.Key = ref.String(), ref.Key(); err != nil || window == nil {
		return testimony, calls, err
	}
	return testimony, calls, t.Archive.Testify(testimony)
}

// rows counts the records of an export that landed without headers, by what is known of its
// group or else by its receipt. If both say the same, nobody is asked.
func (t *Testifier) rows(r *archive.Receipt, place fetch.Ref, window *ledger.Window) (int64, error) {
	switch first := r.First; {
	case r.Records == verify.Unknown:
		return verify.Unknown, nil
	case first != nil && first.SHA256 != "" && first.Files != r.Headers && window != nil && t.Header != nil:
		exports, err := t.Header(place.String(), window.Group, first.SHA256)
		if err != nil {
			return 0, err
		}
		if exports > 0 {
			return r.Records - first.Files, nil
		}
	}
	return r.Records - r.Headers, nil
}

// A DueCount is an export that landed, and whose source is to be asked for its count.
type DueCount struct {
	Ref    fetch.Ref
	Window ledger.Window
}

// How long is waited for another process that asks, and, by Keep, between two looks for what
// is due, and after a call that failed: twice as long each time.
const (
	askingPoll    = 50 * time.Millisecond
	countInterval = time.Minute
	maxCountPause = time.Hour
)

// TestifyIfDue is Testify of an export unless another process has done that by now. One at a
// time asks for an archive. It returns nil if the count is not due.
func (t *Testifier) TestifyIfDue(ctx context.Context, c DueCount) (*archive.Testimony, error) {
	end, err := t.Archive.Exclusive("witness")
	for errors.Is(err, archive.ErrBusy) {
		if err := fetch.Sleep(ctx, askingPoll); err != nil {
			return nil, err
		}
		end, err = t.Archive.Exclusive("witness")
	}
	if err != nil {
		return nil, err
	}
	defer end()
	lines, err := t.Events(c.Ref.Key())
	if err != nil {
		return nil, err
	}
	last, _ := archive.EarlierCounts(lines)
	if due := archive.CountDue(c.Window, last); due.IsZero() || due.After(time.Now()) {
		return nil, nil
	}
	testimony, _, err := t.Testify(ctx, c.Ref, &c.Window)
	if err != nil {
		return nil, err
	}
	return &testimony, nil
}

// Keep asks for the counts that are due, looking for them every minute until ctx ends. It
// tells of each testimony, and of each call that failed: the windows of that group are left
// alone for a while then.
func (t *Testifier) Keep(ctx context.Context, due func(context.Context) ([]DueCount, error), tell func(fetch.Ref, *archive.Testimony, error)) {
	type pause struct {
		until  time.Time
		length time.Duration
	}
	pauses := map[string]pause{} // by place and group
	for {
		counts, err := due(ctx)
		if err != nil && ctx.Err() == nil {
			tell(fetch.Ref{}, nil, err)
		}
		for _, c := range counts {
			group := c.Ref.PlaceText() + " " + c.Window.Group
			if time.Now().Before(pauses[group].until) {
				continue
			}
			testimony, err := t.TestifyIfDue(ctx, c)
			if ctx.Err() != nil {
				return
			}
			length := min(max(2*pauses[group].length, countInterval), maxCountPause)
			if delete(pauses, group); err != nil {
				pauses[group] = pause{time.Now().Add(length), length}
			}
			if testimony != nil || err != nil {
				tell(c.Ref, testimony, err)
			}
		}
		if fetch.Sleep(ctx, countInterval) != nil {
			return
		}
	}
}
