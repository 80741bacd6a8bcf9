package worker

import (
	"errors"
	"strings"
	"time"
	"unicode"

	"github.com/hibiken/asynq"

	"tallyman/fetch/redact"
)

// later tells the queue when to run a task again. Its budget is none of the
// queue's business.
type snoozeError struct {
	delay           time.Duration
	message         string
	countsAsFailure bool // for the queue's own statistics
}

func (l *snoozeError) Error() string { return l.message }

// snooze is not a failure: the task comes back after that long.
func snooze(after time.Duration, why error) *snoozeError {
	return &snoozeError{delay: after, message: safeText(why)}
}

// safeText is an error's text as others may see it: in the queue, or in a log.
func safeText(err error) string { return sanitize(err.Error()) }

// sanitize is a text as a line of which nothing is a secret, or moves the cursor
// of a terminal. The queue can't keep what is not UTF-8.
func sanitize(text string) string {
	s := redact.Text(text)
	if len(s) > maxTextBytes {
		s = s[:maxTextBytes] + "…"
	}
	return strings.Map(printableRune, strings.ToValidUTF8(s, ""))
}

// printableRune is a rune, or what stands for it.
func printableRune(r rune) rune {
	switch {
	case unicode.IsGraphic(r):
		return r
	case unicode.IsSpace(r):
		return ' '
	}
	return unicode.ReplacementChar
}

const maxTextBytes = 1000 // bytes

func isFailure(err error) bool {
	l, ok := errors.AsType[*snoozeError](err)
	switch {
	case ok:
		return l.countsAsFailure
	case errors.Is(err, asynq.ErrLeaseExpired): // its worker died, or could not reach Redis
		return false
	}
	return true
}

// retryDelay is what the error says, and at once for a task whose worker was
// lost.
func retryDelay(_ int, err error, _ *asynq.Task) time.Duration {
	if l, ok := errors.AsType[*snoozeError](err); ok && l.delay > 0 {
		return roundUpToSecond(time.Now(), l.delay)
	}
	return 0
}

// roundUpToSecond lengthens a wait to where a second begins: the queue drops the rest of
// a second, and would end the wait too soon.
func roundUpToSecond(now time.Time, wait time.Duration) time.Duration {
	return now.Add(wait + time.Second - 1).Truncate(time.Second).Sub(now)
}
