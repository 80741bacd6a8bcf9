package worker

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// CheckRedis fails with ErrUnsuitableRedis if Redis is too old for the queue, or
// may evict tasks.
func (q *Queue) CheckRedis(ctx context.Context) error {
	text, err := q.redis.Info(ctx, "server", "memory").Result()
	if err != nil {
		return fmt.Errorf("check redis: %w", wrapRedisError(ctx, err))
	}
	info := parseInfo(text)
	if version := info["redis_version"]; olderThan(version, 6, 2) {
		return fmt.Errorf("%w: it is Redis %s, want 6.2 or later", ErrUnsuitableRedis, version)
	}
	if policy := info["maxmemory_policy"]; policy != "" && policy != "noeviction" {
		return fmt.Errorf("%w: its maxmemory-policy is %s, and it would drop tasks: set it to noeviction", ErrUnsuitableRedis, policy)
	}
	return nil
}

// parseInfo reads the answer to INFO.
func parseInfo(text string) map[string]string {
	info := map[string]string{}
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
