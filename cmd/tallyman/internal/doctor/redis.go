package doctor

import (
	"time"

	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/worker"
)

// slowRedis is an answer that takes too long for a queue: workers ask many times a
// second.
const slowRedis = 50 * time.Millisecond

// RedisFacts judges what a Redis says about itself, and how long it takes to answer.
func (r *Report) RedisFacts(f worker.RedisFacts, latency time.Duration) {
	switch {
	case f.TooOld():
		r.Fail("redis.version", "run Redis 6.2 or later", "it is Redis %s", f.Version)
	case f.Version == "":
		r.Warn("redis.version", "see that it is compatible with Redis 6.2 or later", "it does not tell its version")
	default:
		r.OK("redis.version", "%s", f.Version)
	}
	switch {
	case f.Evicts():
		r.Fail("redis.policy", "set maxmemory-policy noeviction", "its maxmemory-policy is %s: it drops tasks once its memory is full", f.Policy)
	case f.Policy == "":
		r.Warn("redis.policy", "see that its maxmemory-policy is noeviction", "it does not tell its maxmemory-policy")
	default:
		r.OK("redis.policy", "%s", f.Policy)
	}
	if f.Replica {
		r.Fail("redis.role", "name the master, or the Sentinels by ?master_name=NAME", "it is a replica, which takes no writes")
	}
	switch {
	case f.WriteFailed:
		r.Fail("redis.persistence", "see to its disk and its log", "its last write to disk has failed")
	case !f.AppendOnly && !f.Snapshots:
		r.Warn("redis.persistence", "set appendonly yes, so that workers need not rebuild the queue after each restart", "it keeps nothing on disk")
	case !f.AppendOnly:
		r.Warn("redis.persistence", "set appendonly yes and appendfsync everysec", "it has no append-only file: a crash loses what came since its last snapshot")
	default:
		r.OK("redis.persistence", "append-only file")
	}
	if f.Limit > 0 {
		used := flagvalue.FormatSize(f.Used) + " of " + flagvalue.FormatSize(f.Limit)
		if f.Used > f.Limit/10*9 {
			r.Warn("redis.memory", "raise its maxmemory: it refuses tasks once that is full", "%s are used", used)
		} else {
			r.OK("redis.memory", "%s are used", used)
		}
	}
	if latency > slowRedis {
		r.Warn("redis.latency", "run Redis nearer to the workers", "it answers after %v", latency.Round(time.Millisecond))
	} else {
		r.OK("redis.latency", "it answers within %v", max(latency.Round(time.Millisecond), time.Millisecond))
	}
}
