package worker

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/redis/go-redis/v9"

	"tallyman/fetch/redact"
)

// queueLog passes on what asynq has to say. Most of it is of no use to those
// who run a worker; nothing of it may hold a secret.
type queueLog struct{ to *slog.Logger }

func (l queueLog) say(level slog.Level, args []any) {
	if l.to != nil {
		l.to.Log(context.Background(), level, "queue: "+redact.Text(fmt.Sprint(args...)))
	}
}

func (l queueLog) Debug(args ...any) { l.say(slog.LevelDebug, args) }
func (l queueLog) Info(args ...any)  { l.say(slog.LevelDebug, args) }
func (l queueLog) Warn(args ...any)  { l.say(slog.LevelDebug, args) }
func (l queueLog) Error(args ...any) { l.say(slog.LevelWarn, args) }

func (l queueLog) Fatal(args ...any) {
	l.say(slog.LevelError, args)
	os.Exit(ExitUnknown)
}

// redisLog is the same for go-redis, which tells of each connection that it
// can't make.
type redisLog struct{ to *slog.Logger }

func (l redisLog) Printf(ctx context.Context, format string, args ...any) {
	if l.to != nil {
		l.to.Log(ctx, slog.LevelDebug, "redis: "+redact.Text(fmt.Sprintf(format, args...)))
	}
}

// SetRedisLogger has all clients of go-redis log to there: it has one log for all.
func SetRedisLogger(to *slog.Logger) { redis.SetLogger(redisLog{to}) }
