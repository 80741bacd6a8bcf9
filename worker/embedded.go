package worker

import (
	"context"
	"net"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"
)

// NewEmbeddedQueue returns a queue in this process, which no other process can
// reach. It is lost when stop is called or the process ends.
func NewEmbeddedQueue() (queue *Queue, stop func()) {
	embedded := miniredis.NewMiniRedis()
	client := redis.NewClient(&redis.Options{
		Addr: "127.0.0.1:0", // not used, but go-redis would look up the host of its default
		Dialer: func(context.Context, string, string) (net.Conn, error) {
			conn, err := embedded.Dial()
			if s := embedded.Server(); s != nil { // it exists once Dial was called
				s.SetPreHook(func(c *server.Peer, command string, _ ...string) bool {
					if command == "INFO" { // miniredis does not tell what it does: it never evicts keys
						c.WriteBulk("maxmemory_policy:noeviction\r\n")
					}
					return command == "INFO"
				})
			}
			return conn, err
		},
		DisableIdentity: true,
		// What is in this process is never away. A late answer means that the
		// machine is busy.
		ReadTimeout: -1, WriteTimeout: -1, PoolSize: redisPool, PoolTimeout: time.Hour,
	})
	quit := make(chan struct{})
	go func() { // the clock of a miniredis does not run by itself, and keys are to expire
		const step = 10 * time.Second
		tick := time.NewTicker(step)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				embedded.FastForward(step)
			case <-quit:
				return
			}
		}
	}()
	return NewQueue(client), func() {
		close(quit)
		client.Close()
		embedded.Close()
	}
}
