package worker

import (
	"errors"
	"strings"
	"tallyman/fetch/redact"
	"time"
	"unicode"

	"github.com/hibiken/asynq"
)

// later tells the queue when to run a task again. Its budget is none of the
// queue's business.
type later struct {
	after  time.Duration
	why    string
	failed bool // for the queue's own statistics
}

func (l *later) Error() string { return l.why }

// snooze is not a failure: the task comes back after that long.
func snooze(after time.Duration, why error) *later {
	return &later{after: after, why: shown(why)}
}

// shown is an error's text as others may see it: in the queue, or in a log.
func shown(err error) string { return plain(err.Error()) }

// plain is a text as a line of which nothing is a secret, or moves the cursor
// of a terminal. The queue can't keep what is not UTF-8.
func plain(text string) string {
	s := redact.Text(text)
	if len(s) > mostShown {
		s = s[:mostShown] + "…"
	}
	return strings.Map(printed, strings.ToValidUTF8(s, ""))
}

// printed is a rune, or what stands for it.
func printed(r rune) rune {
	switch {
	case unicode.IsGraphic(r):
		return r
	case unicode.IsSpace(r):
		return ' '
	}
	return unicode.ReplacementChar
}

const mostShown = 1000 // bytes

func isFailure(err error) bool {
	l, ok := errors.AsType[*later](err)
	switch {
	case ok:
		return l.failed
	case errors.Is(err, asynq.ErrLeaseExpired): // its worker died, or could not reach Redis
		return false
	}
	return true
}

// retryDelay is what the error says, and at once for a task whose worker was
// lost.
func retryDelay(_ int, err error, _ *asynq.Task) time.Duration {
	if l, ok := errors.AsType[*later](err); ok && l.after > 0 {
		return whole(time.Now(), l.after)
	}
	return 0
}

// whole lengthens a wait to where a second begins: the queue drops the rest of
// a second, and would end the wait too soon.
func whole(now time.Time, wait time.Duration) time.Duration {
	return now.Add(wait + time.Second - 1).Truncate(time.Second).Sub(now)
}
