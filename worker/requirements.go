package worker

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// infoScript asks the Redis that holds a queue, which is one of several in a
// cluster, about itself, and for what the queue is marked with.
var infoScript = redis.NewScript(`return {redis.call("INFO"), redis.call("GET", KEYS[1]) or ""}`)

// markKey holds a text of which there is no second, by which a queue that was lost
// is told from the one before.
func markKey(queue string) string { return "tallyman:{" + queue + "}:mark" }

// A redisInfo is what the Redis of a queue says: the fields of INFO, and mark.
type redisInfo map[string]string

// marked are the queues and what waits: all that a Redis of its own may lose.
var marked = append(slices.Clone(queues), "waiting")

// inspect asks the Redis of each queue, and that of what waits.
func (q *Queue) inspect(ctx context.Context) (infos []redisInfo, err error) {
	for _, queue := range marked {
		said, err := infoScript.Run(ctx, q.redis, []string{markKey(queue)}).StringSlice()
		if err != nil {
			return nil, wrapRedisError(ctx, err)
		}
		info := parseInfo(said[0])
		info["mark"] = said[1]
		infos = append(infos, info)
	}
	return infos, nil
}

// identity is another one once a Redis was restarted, emptied or replaced: then it
// may have lost tasks. It is "" if a queue lacks its mark.
func (q *Queue) identity(ctx context.Context) (string, error) {
	infos, err := q.inspect(ctx)
	var parts []string
	for _, info := range infos {
		if info["mark"] == "" {
			return "", nil
		}
		parts = append(parts, info["run_id"], info["mark"])
	}
	return strings.Join(parts, " "), err
}

// CheckRedis fails with ErrUnsuitableRedis if Redis is too old for the queue, or
// may evict tasks.
func (q *Queue) CheckRedis(ctx context.Context) error {
	infos, err := q.inspect(ctx)
	if err != nil {
		return fmt.Errorf("check redis: %w", err)
	}
	for _, info := range infos {
		facts := info.facts()
		if facts.TooOld() {
			return fmt.Errorf("%w: it is Redis %s, want 6.2 or later", ErrUnsuitableRedis, facts.Version)
		}
		if facts.Evicts() {
			return fmt.Errorf("%w: its maxmemory-policy is %s, and it would drop tasks: set it to noeviction", ErrUnsuitableRedis, facts.Policy)
		}
	}
	return nil
}

// RedisFacts are what a Redis of the queue says about itself. What it does not say is
// the zero value.
type RedisFacts struct {
	Version     string
	Policy      string // maxmemory-policy
	Replica     bool
	AppendOnly  bool  // each write is in a file within a second or so
	Snapshots   bool  // it is saved to a file now and then; true if it does not say
	WriteFailed bool  // the last write to either file has failed
	Used, Limit int64 // bytes of memory; a Limit of 0 is none
}

// TooOld reports whether the queue needs a later version.
func (f RedisFacts) TooOld() bool { return olderThan(f.Version, 6, 2) }

// Evicts reports whether Redis drops tasks once its memory is full.
func (f RedisFacts) Evicts() bool { return f.Policy != "" && f.Policy != "noeviction" }

// facts are those of INFO, which does not tell whether snapshots are made.
func (info redisInfo) facts() RedisFacts {
	number := func(name string) int64 {
		n, _ := strconv.ParseInt(info[name], 10, 64) // 0 if it does not say
		return n
	}
	return RedisFacts{
		Version: info["redis_version"], Policy: info["maxmemory_policy"], Replica: info["role"] == "slave",
		AppendOnly: info["aof_enabled"] == "1", Snapshots: true, Used: number("used_memory"), Limit: number("maxmemory"),
		WriteFailed: info["rdb_last_bgsave_status"] == "err" || info["aof_last_write_status"] == "err",
	}
}

// Facts asks each Redis of the queue about itself; of a cluster there are several.
func (q *Queue) Facts(ctx context.Context) (all []RedisFacts, err error) {
	infos, err := q.inspect(ctx)
	if err != nil {
		return nil, err
	}
	save, saveErr := q.redis.ConfigGet(ctx, "save").Result() // which a hosted one refuses
	seen := map[string]bool{}
	for _, info := range infos {
		if seen[info["run_id"]] {
			continue
		}
		seen[info["run_id"]] = true
		facts := info.facts()
		if rule, said := save["save"]; saveErr == nil && said {
			facts.Snapshots = rule != ""
		}
		all = append(all, facts)
	}
	return all, nil
}

// Ping returns how long Redis takes to answer.
func (q *Queue) Ping(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	if err := q.redis.Ping(ctx).Err(); err != nil {
		return 0, wrapRedisError(ctx, err)
	}
	return time.Since(began), nil
}

// parseInfo reads the answer to INFO.
func parseInfo(text string) redisInfo {
	info := redisInfo{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[name] = value
		}
	}
	return info
}

// olderThan compares versions. One that can't be read is not older: some servers
// speak Redis's protocol and have versions of their own.
func olderThan(version string, major, minor int) bool {
	first, rest, _ := strings.Cut(version, ".")
	second, _, _ := strings.Cut(rest, ".")
	m, err1 := strconv.Atoi(first)
	n, err2 := strconv.Atoi(second)
	return err1 == nil && err2 == nil && (m < major || m == major && n < minor)
}
