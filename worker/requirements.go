package worker

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

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
		if version := info["redis_version"]; olderThan(version, 6, 2) {
			return fmt.Errorf("%w: it is Redis %s, want 6.2 or later", ErrUnsuitableRedis, version)
		}
		if policy := info["maxmemory_policy"]; policy != "" && policy != "noeviction" {
			return fmt.Errorf("%w: its maxmemory-policy is %s, and it would drop tasks: set it to noeviction", ErrUnsuitableRedis, policy)
		}
	}
	return nil
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
