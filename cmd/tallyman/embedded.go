package main

import (
	"context"
	"net"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"
)

// embedded is a Redis in this process, that nobody else can reach. It is gone
// with the process.
func embedded() (client redis.UniversalClient, stop func()) {
	inside := miniredis.NewMiniRedis()
	client = redis.NewClient(&redis.Options{
		Addr: "127.0.0.1:0", // of no use, but go-redis looks up the host of its default
		Dialer: func(context.Context, string, string) (net.Conn, error) {
			conn, err := inside.Dial()
			if s := inside.Server(); s != nil { // as it is before it is dialled
				s.SetPreHook(fit)
			}
			return conn, err
		},
		DisableIdentity: true,
	})
	quit := make(chan struct{})
	go age(inside, quit)
	return client, func() {
		close(quit)
		client.Close()
		inside.Close()
	}
}

// fit answers INFO, of which miniredis knows nothing that is asked of a Redis:
// that it drops no tasks.
func fit(c *server.Peer, command string, _ ...string) bool {
	if command == "INFO" {
		c.WriteBulk("maxmemory_policy:noeviction\r\n")
	}
	return command == "INFO"
}

// age makes the keys of a server expire, whose clock stands still by itself.
func age(server *miniredis.Miniredis, quit chan struct{}) {
	const step = 10 * time.Second
	tick := time.NewTicker(step)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			server.FastForward(step)
		case <-quit:
			return
		}
	}
}
