package worker

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"

	"tallyman/fetch/fetchtest"
)

// A realRedis is a redis-server of its own that ends with the test, and a client
// of it.
type realRedis struct {
	*fetchtest.Redis
	client redis.UniversalClient
}

// startRedis starts one, with more arguments of redis-server.
func startRedis(t testing.TB, args ...string) *realRedis {
	t.Helper()
	r := &realRedis{Redis: fetchtest.StartRedis(t, args...)}
	r.client = r.dial(t, "")
	return r
}

// dial is a client that a test can wait for. Its user is USER:PASSWORD@, or "".
func (r *realRedis) dial(t testing.TB, user string) redis.UniversalClient {
	t.Helper()
	client, err := NewRedisClient(RedisOptions{URL: "unix://" + user + r.Socket + "?max_retries=3"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// restart ends it, with all that it knows, and starts it anew.
func (r *realRedis) restart(t testing.TB) {
	t.Helper()
	r.Kill()
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
}

// configure changes a setting while it runs.
func (r *realRedis) configure(t testing.TB, name, value string) {
	t.Helper()
	if err := r.client.ConfigSet(t.Context(), name, value).Err(); err != nil {
		t.Fatal(err)
	}
}

// A store is one of the two that a queue may be in.
type redisServer struct {
	client redis.UniversalClient
	dial   func() redis.UniversalClient
	flush  func() // all that it knows
}

// onEachRedis runs a test on a Redis in the process, and on a real one.
func onEachRedis(t *testing.T, do func(*testing.T, redisServer)) {
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		p := newFakeRedis(t)
		do(t, redisServer{p.client, func() redis.UniversalClient {
			c := p.dial()
			t.Cleanup(func() { c.Close() })
			return c
		}, p.FlushAll})
	})
	t.Run("real", func(t *testing.T) {
		t.Parallel()
		r := startRedis(t)
		do(t, redisServer{r.client, func() redis.UniversalClient { return r.dial(t, "") }, func() { r.client.FlushAll(context.Background()) }})
	})
}
