package worker

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"unicode"

	"github.com/redis/go-redis/v9"

	"tallyman/fetch/redact"
)

// maxTextBytes is how long an error's text in the queue, a record or a log may
// be.
const maxTextBytes = 1000

// safeText is the text of an error as it may be kept in the queue or in a record,
// and logged.
func safeText(err error) string { return sanitize(err.Error()) }

// sanitize makes a text one line without secrets and without characters that move
// the cursor of a terminal. What is not UTF-8 is dropped, since the queue can't
// keep it.
func sanitize(text string) string {
	s := redact.Text(text)
	if len(s) > maxTextBytes {
		s = s[:maxTextBytes] + "…"
	}
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsGraphic(r):
			return r
		case unicode.IsSpace(r):
			return ' '
		}
		return unicode.ReplacementChar
	}, strings.ToValidUTF8(s, ""))
}

// A queueLog logs what asynq tells, without secrets. It is an asynq.Logger. Most
// of that is of no use to those who run a worker, so only errors are warnings.
type queueLog struct{ to *slog.Logger }

func (l queueLog) log(level slog.Level, args []any) {
	l.to.Log(context.Background(), level, "queue: "+redact.Text(fmt.Sprint(args...)))
}

func (l queueLog) Debug(args ...any) { l.log(slog.LevelDebug, args) }
func (l queueLog) Info(args ...any)  { l.log(slog.LevelDebug, args) }
func (l queueLog) Warn(args ...any)  { l.log(slog.LevelDebug, args) }
func (l queueLog) Error(args ...any) {
	level := slog.LevelWarn
	if text := fmt.Sprint(args...); strings.Contains(text, "redis") || findRefusal(text) != nil {
		level = slog.LevelDebug // of a Redis that is away an Outage tells
	}
	l.log(level, args)
}
func (l queueLog) Fatal(args ...any) { l.log(slog.LevelError, args) } // asynq's servers never call it

// A redisLog logs what go-redis tells, without secrets.
type redisLog struct{ to *slog.Logger }

func (l redisLog) Printf(ctx context.Context, format string, args ...any) {
	if l.to != nil {
		l.to.Log(ctx, slog.LevelDebug, "redis: "+redact.Text(fmt.Sprintf(format, args...)))
	}
}

// SetRedisLogger has all clients of go-redis in this process log to a logger, at
// debug level, or nowhere if it is nil: go-redis has one logger for all of them.
func SetRedisLogger(to *slog.Logger) { redis.SetLogger(redisLog{to}) }
