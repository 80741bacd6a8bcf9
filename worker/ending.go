package worker

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"tallyman/fetch"
)

// Until when a result is there is written to the ledger, where all see it, and decides in
// which order the exports are fetched whose jobs are ready: those that are gone first come
// first, and before those of which nobody knows. asynq has queues with priorities only, so
// the list of tasks that may run is put in order whenever one is taken of it; workers of
// earlier versions take them in the order in which they came.

// endsKey holds until when the exports are there that wait to be fetched, in milliseconds, by
// the ID of their task. It has the hash tag of the queue.
const endsKey = "tallyman:{" + fetchQueue + "}:ends"

// soonestFirstScript has that task be taken next whose export is gone first. It forgets those
// that are no longer there.
var soonestFirstScript = redis.NewScript(`
for _, id in ipairs(redis.call("ZRANGE", KEYS[2], 0, 999)) do
	local state = redis.call("HGET", ARGV[1] .. id, "state")
	if not state then
		redis.call("ZREM", KEYS[2], id)
	elseif state == "pending" and redis.call("LREM", KEYS[1], -1, id) > 0 then
		redis.call("RPUSH", KEYS[1], id)
		return 1
	end
end
return 0`)

// putSoonestFirst puts the list of fetches that may run in order. While Redis is away, its
// client tells.
func putSoonestFirst(ctx context.Context, client redis.UniversalClient) {
	if n, err := client.Exists(ctx, endsKey).Result(); err != nil || n == 0 {
		return
	}
	_ = soonestFirstScript.Run(ctx, client, []string{PendingFetches, endsKey}, asynqKey(fetchQueue, "t:")).Err()
}

// setEnds notes until when the export of a fetch is there that was enqueued.
func (q *Queue) setEnds(ctx context.Context, hash string, ends time.Time) error {
	if ends.IsZero() {
		return nil
	}
	err := q.redis.ZAdd(ctx, endsKey, redis.Z{Score: float64(ends.UnixMilli()), Member: taskID(typeFetch, hash)}).Err()
	if err != nil {
		return fmt.Errorf("note until when %s is there: %w", hash, wrapRedisError(ctx, err))
	}
	return nil
}

// pendingMargin is more than lies between two looks at the job of a member.
const pendingMargin = 5 * time.Minute

// lastPending is a time at which the job of a member had not ended yet, or zero. When it was
// last looked at is not written down, but when it is due again.
func (q *Queue) lastPending(ctx context.Context, m member, pollInterval time.Duration) time.Time {
	polls, err := q.redis.HGet(ctx, pollsKey, m.hash).Result()
	if n, _ := strconv.Atoi(polls); err != nil || n == 0 {
		return time.Time{}
	}
	due, err := q.redis.ZScore(ctx, dueKey+m.group, m.hash).Result()
	last := time.UnixMilli(int64(due)).Add(-max(pendingMargin, 2*pollInterval))
	if err != nil || last.Before(m.asked) {
		return m.asked
	}
	return last
}

// tellEnds writes down until when an export is there, unless this worker has done so.
func (w *Worker) tellEnds(ref fetch.Ref, ends time.Time) {
	if ends.IsZero() {
		return
	}
	if told, _ := w.ends.Swap(ref.Hash(), ends); told == ends {
		return
	}
	if err := w.Archive.RecordReady(ref.String(), ref.Key(), ends); err != nil {
		w.Log.Warn("until when an export is there is not recorded", "ref", ref.String(), "error", safeText(err))
	}
}

// poll asks the job of an export, and notes until when its result is there.
func (r *run) poll(ctx context.Context) error {
	var life fetch.Lifetime
	err := r.w.Fetcher.Poll(fetch.WithLifetime(ctx, func(l fetch.Lifetime) { life = l }), r.ref)
	if isA[*fetch.NotReadyError](err) {
		r.pending = time.Now()
	}
	if ends := life.Ends(r.pending); err == nil && !ends.IsZero() {
		r.ends = ends
		r.w.tellEnds(r.ref, ends)
	}
	return err
}
