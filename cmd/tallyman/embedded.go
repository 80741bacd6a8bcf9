package main

import (
	"context"
	"net"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// embedded is a Redis in this process, that nobody else can reach. It is gone
// with the process.
func embedded() (client redis.UniversalClient, stop func()) {
	server := miniredis.NewMiniRedis()
	client = redis.NewClient(&redis.Options{
		Dialer:          func(context.Context, string, string) (net.Conn, error) { return server.Dial() },
		DisableIdentity: true,
	})
	quit := make(chan struct{})
	go age(server, quit)
	return client, func() {
		close(quit)
		client.Close()
		server.Close()
	}
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
