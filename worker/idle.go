package worker

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"tallyman/fetch"
)

// enqueuedChannel is the channel of Redis that tells of tasks that were added. A message
// is the name of their queue.
const enqueuedChannel = "tallyman:enqueued"

const (
	// announceInterval is the shortest time between two messages of a Queue about one of
	// its queues.
	announceInterval = 100 * time.Millisecond
	// busyTime is for how long a queue that had a task is looked into again and again:
	// what follows soon is not announced.
	busyTime = 2 * announceInterval
	// shortLook is how long asynq sleeps between two looks into an empty queue. It
	// takes up to half as long again.
	shortLook = 12 * time.Millisecond
	// listenAgain is the pause after a subscription that failed.
	listenAgain = 5 * time.Second
)

// An announcer tells idle workers that a queue has a task, so that they need not ask
// often. Its zero value is ready.
type announcer struct{ last atomic.Int64 }

// announce tells of a task that was added to a queue. It may fail: workers look by
// themselves, too.
func (a *announcer) announce(ctx context.Context, client redis.UniversalClient, queue string) {
	now, last := time.Now().UnixNano(), a.last.Load()
	if now-last < int64(announceInterval) || !a.last.CompareAndSwap(last, now) {
		return
	}
	pipe := client.Pipeline() // which is tried once
	pipe.Publish(ctx, enqueuedChannel, queue)
	_, _ = pipe.Exec(ctx)
}

// An idleClient is the client of an asynq server for one queue. asynq looks into an
// empty queue after a fixed time. Here such a look lasts until something was added, so
// that tasks are noticed at once, and an idle worker asks Redis seldom.
type idleClient struct {
	redis.UniversalClient
	ctx     context.Context // ends each look
	pending string          // the key of the list of tasks that may run
	atMost  time.Duration   // for one look
	added   chan struct{}
	ordered bool      // what is gone first is taken first
	busy    time.Time // until when looks are short; only asynq's loop looks
}

// EvalSha runs a script. That of asynq which takes a task is the only one whose first
// key is the list of those that may run.
func (c *idleClient) EvalSha(ctx context.Context, sha1 string, keys []string, args ...any) *redis.Cmd {
	takes := len(keys) > 0 && keys[0] == c.pending
	if takes && c.ordered {
		putSoonestFirst(ctx, c.UniversalClient)
	}
	cmd := c.UniversalClient.EvalSha(ctx, sha1, keys, args...)
	if !takes {
		return cmd
	}
	if !errors.Is(cmd.Err(), redis.Nil) {
		c.busy = time.Now().Add(busyTime)
	} else if time.Now().After(c.busy) {
		timer := time.NewTimer(c.atMost)
		defer timer.Stop()
		select {
		case <-c.added:
			c.busy = time.Now().Add(busyTime)
		case <-timer.C:
		case <-c.ctx.Done():
		}
	}
	return cmd
}

// listen wakes the clients when something is added to their queues, until ctx ends.
func (w *Worker) listen(ctx context.Context, clients map[string]*idleClient) {
	wake := func(c *idleClient) {
		select {
		case c.added <- struct{}{}:
		default: // it is to look already
		}
	}
	for ctx.Err() == nil {
		subscription := w.Queue.redis.Subscribe(ctx, enqueuedChannel)
		unsubscribe := context.AfterFunc(ctx, func() { subscription.Close() })
		for {
			message, err := subscription.Receive(ctx)
			if err != nil { // Redis is away, or a user of it may not listen
				break
			}
			if m, ok := message.(*redis.Message); ok {
				if c := clients[m.Payload]; c != nil {
					wake(c)
				}
				continue
			}
			for _, c := range clients { // before the subscription, something may have been added
				wake(c)
			}
		}
		unsubscribe()
		subscription.Close()
		_ = fetch.Sleep(ctx, listenAgain)
	}
}
