package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"tallyman/fetch"
)

// patience tries the commands of a client again while Redis does not serve them,
// and says why. It is a redis.Hook. go-redis would count tries, each of which may
// take milliseconds or half a minute.
type patience struct {
	limit  time.Duration // of one command
	tries  int           // of one command; 0 is as many as the limit allows
	tls    bool
	outage *Outage
	worker bool // what has failed is asked for again

	answered atomic.Bool // it was Redis that answered, at least once
	refused  sync.Map    // when a command was refused last, by its keyspace
}

const (
	// firstPause is the wait before the second try; later ones are longer.
	firstPause = 20 * time.Millisecond
	// lastPause is the longest wait, and that of a worker after the last try. Without
	// it, asynq would ask again at once, and do nothing else.
	lastPause = time.Second
	// outageAfter is how long a command has to wait until it is worth a line.
	outageAfter = 2 * time.Second
	// refusalMemory is for how long the answers to other commands do not end the
	// outage after one was refused: a Redis that takes no writes still answers reads.
	// Each of a worker's loops asks more often.
	refusalMemory = 10 * time.Second
)

// DialHook implements redis.Hook.
func (*patience) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessPipelineHook implements redis.Hook.
func (*patience) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// ProcessHook implements redis.Hook.
func (p *patience) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		who, began := keyspace(cmd), time.Now()
		for try := 1; ; try++ {
			err := next(ctx, cmd)
			if err != nil && (ctx.Err() != nil || errors.Is(err, redis.ErrClosed)) {
				return err
			}
			var refusal *redisRefusal
			if err != nil {
				refusal = findRefusal(err.Error())
			}
			if err == nil || refusal == nil && isA[redis.Error](err) && !fromSentinels(err) { // the answer to the command
				p.answered.Store(true)
				if refused, ok := p.refused.Load(who); !ok || try > 1 || time.Since(refused.(time.Time)) > refusalMemory {
					p.outage.Passed(who)
				}
				return err
			}
			if refusal != nil {
				p.refused.Store(who, time.Now())
			}
			err = p.explain(err)
			waited := time.Since(began)
			last := refusal != nil && !refusal.passes || waited >= p.limit || try == p.tries
			if !last && waited >= outageAfter || last && p.worker && p.answered.Load() {
				p.outage.Failed(who, wrapRedisError(ctx, err))
			}
			switch {
			case last && p.worker:
				_ = fetch.Sleep(ctx, lastPause)
				return err
			case last || fetch.Sleep(ctx, jitter(backoff(firstPause, try, lastPause))) != nil:
				return err
			}
		}
	}
}

// fromSentinels reports whether an error is of asking the Sentinels. It may wrap
// redis.Nil, which would say that a key is not there.
func fromSentinels(err error) bool { return strings.Contains(err.Error(), "all sentinels specified") }

// explain adds to an error what is probably wrong, if nothing was ever right.
func (p *patience) explain(err error) error {
	switch {
	case fromSentinels(err):
		return errors.New(err.Error())
	case p.answered.Load() || findRefusal(err.Error()) != nil:
	case p.tls && strings.Contains(err.Error(), handshake):
		return fmt.Errorf("%w: the port may be one without TLS, and the URL of such a Redis begins with redis://", err)
	case !p.tls && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)):
		return fmt.Errorf("it ends each connection (%w): the port may be one of TLS, and the URL of such a Redis begins with rediss://; or it takes no more clients: see its maxclients", err)
	}
	return err
}

// keyspace is the part of a command's first key that says on which node of a
// cluster it is, or "".
func keyspace(cmd redis.Cmder) string {
	for _, arg := range cmd.Args() {
		if key, ok := arg.(string); ok && (strings.HasPrefix(key, "asynq:") || strings.HasPrefix(key, "tallyman:")) {
			_, tagged, _ := strings.Cut(key, "{")
			tag, _, _ := strings.Cut(tagged, "}")
			return tag
		}
	}
	return ""
}
