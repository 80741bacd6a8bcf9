package fetch

import (
	"context"
	"errors"
	"time"

	"tallyman/verify"
	"tallyman/verify/archive"
)

// Testify asks a witness about the window of an export that landed, in so many records
// without headers, and returns what it says, and how many calls that took. The most that it
// counted before is earlier, or verify.Unknown. That a window is not countable is a
// testimony, too.
func Testify(ctx context.Context, w Witness, window Window, landed, earlier int64) (t archive.Testimony, calls int, err error) {
	t = archive.Testimony{
		Window: *window.recorded(), At: time.Now(),
		Landed: landed, Counted: verify.Unknown, Including: verify.Unknown, Earlier: earlier,
	}
	if landed == verify.Unknown {
		return t, 0, nil
	}
	count, err := w.Count(ctx, window)
	if errors.Is(err, ErrNotCountable) {
		t.Why = err.Error()
		return t, 0, nil
	}
	if err != nil {
		return t, count.Calls, err
	}
	t.Counted, t.RequestID, calls = count.Records, count.RequestID, count.Calls
	if t.Counted == landed {
		return t, calls, nil
	}
	closed := window
	closed.To = closed.To.Add(time.Second)
	including, err := w.Count(ctx, closed)
	calls += including.Calls
	if err != nil {
		return t, calls, err
	}
	t.Including = including.Records
	if max(t.Including, t.Counted) >= landed {
		return t, calls, nil
	}
	countable, err := w.Countable(ctx, window)
	t.Since, t.Why, t.Gone = countable.Since, countable.Why, countable.Gone
	return t, calls, err
}
