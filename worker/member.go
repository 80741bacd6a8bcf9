package worker

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"tallyman/fetch"
)

// A member is an export that waits for its job. It has no task: it is in the group of its
// place and account, due at some time, until its job has ended or its wait is over. Then
// it gets the task of a fetch, which decides. So what waits costs Redis a few hundred
// bytes, and a worker nothing until it is due.
type member struct {
	hash    string // of the export
	asked   time.Time
	wait    time.Duration // for the job, from then on; 0 is as long as the worker waits
	group   string        // the payload of a placeTask
	payload string        // of its task
	said    string        // by the job when it was asked first, on one line

	life fetch.Lifetime // of what its job yielded, as this worker found it

	value string // all of that, as it is in Redis: each wait has another one, even of the same ask
}

// The keys share a hash tag, so that a cluster has them in one slot.
const (
	membersKey  = "tallyman:{waiting}:members"  // the members, by the hash of the export
	groupsKey   = "tallyman:{waiting}:groups"   // the turn and the end of the lease of each group, in milliseconds
	pollsKey    = "tallyman:{waiting}:polls"    // how often the job of each member was found not ready, by the hash of the export
	listingsKey = "tallyman:{waiting}:listings" // when each group was listed last, and how long after the time before, in milliseconds
	dueKey      = "tallyman:{waiting}:due:"     // before a group: when each of its members is due, in milliseconds
)

// text is a member as it is written to Redis.
func (m *member) text() string {
	return fmt.Sprintf("%d %d %d\n%s\n%s\n%s", m.asked.UnixNano(), m.wait, rand.Uint64(), m.group, m.payload, m.said)
}

func parseMember(hash, value string) (m member, err error) {
	fields := strings.SplitN(value, "\n", 4)
	if len(fields) != 4 {
		return m, fmt.Errorf("%w: a member has %d lines, want 4", errBadTask, len(fields))
	}
	var asked int64
	_, err = fmt.Sscan(fields[0], &asked, &m.wait)
	m = member{hash: hash, asked: time.Unix(0, asked), wait: m.wait, group: fields[1], payload: fields[2], said: fields[3], value: value}
	return m, err
}

// task reads the member's task.
func (m *member) task() (Task, fetch.Ref, error) {
	task, ref, err := parseTask([]byte(m.payload))
	if err == nil && ref.Hash() != m.hash {
		err = fmt.Errorf("%w: a member is under %q, want %s of %s", errBadTask, m.hash, ref.Hash(), ref)
	}
	return task, ref, err
}

// A placeTask is the payload of a task that looks after the members of a group.
type placeTask struct {
	Version int    `json:"v"`
	Place   string `json:"place"` // as fetch.Ref.PlaceText has it
	Profile string `json:"profile,omitempty"`
}

// groupOf is the group that an export waits in.
func (w *Worker) groupOf(ref fetch.Ref) string {
	t := placeTask{Version: taskVersion, Place: ref.PlaceText()}
	if w.Profile != nil {
		t.Profile = w.Profile(ref)
	}
	return string(payloadOf(t))
}

func placeTaskID(group, turn string) string {
	sum := sha256.Sum256([]byte(group))
	return fmt.Sprintf("place.%x.%s", sum[:16], turn)
}

// addMemberScript makes an export a member of its group. The turns of a new group are
// counted from the time on, since tasks of those before may be there.
var addMemberScript = redis.NewScript(`
redis.call("HSET", KEYS[1], ARGV[1], ARGV[2])
redis.call("ZADD", KEYS[3], ARGV[4], ARGV[1])
redis.call("HSETNX", KEYS[2], ARGV[3], ARGV[6] .. " 0")
redis.call("HINCRBY", KEYS[4], ARGV[1], ARGV[5])
return 1`)

// postponeScript has members be due at other times, and counts that their jobs were found
// not ready. A member that is none any more stays so.
var postponeScript = redis.NewScript(`
for i = 1, #ARGV, 2 do
	if redis.call("ZSCORE", KEYS[1], ARGV[i]) then
		redis.call("ZADD", KEYS[1], ARGV[i + 1], ARGV[i])
		redis.call("HINCRBY", KEYS[2], ARGV[i], 1)
	end
end
return 1`)

// removeMemberScript takes an export out of its group, if its member is as it was read.
var removeMemberScript = redis.NewScript(`
local member = redis.call("HGET", KEYS[1], ARGV[1])
if not member or ARGV[3] ~= "" and ARGV[3] ~= member then
	return 0
end
redis.call("HDEL", KEYS[1], ARGV[1])
redis.call("HDEL", KEYS[2], ARGV[1])
redis.call("ZREM", ARGV[2] .. (string.match(member, "^[^\n]*\n([^\n]*)") or ""), ARGV[1])
return 1`)

// claimGroupsScript begins a turn of each group that has a member which is due and whose
// lease has ended, and forgets those without members.
var claimGroupsScript = redis.NewScript(`
local claimed, groups, now = {}, redis.call("HGETALL", KEYS[1]), tonumber(ARGV[1])
for i = 1, #groups, 2 do
	local turn, ends = string.match(groups[i + 1], "^(%d+) (%d+)$")
	local first = redis.call("ZRANGE", ARGV[3] .. groups[i], 0, 0, "WITHSCORES")
	if #first == 0 then
		redis.call("HDEL", KEYS[1], groups[i])
		redis.call("HDEL", KEYS[2], groups[i])
	elseif tonumber(first[2]) <= now and tonumber(ends or 0) <= now then
		turn = string.format("%d", tonumber(turn or 0) + 1)
		redis.call("HSET", KEYS[1], groups[i], turn .. " " .. ARGV[2])
		table.insert(claimed, groups[i])
		table.insert(claimed, turn)
	end
end
return claimed`)

// dropDueScript takes exports out of a group that are no members of it, as they are now.
var dropDueScript = redis.NewScript(`
for i = 2, #ARGV do
	local member = redis.call("HGET", KEYS[2], ARGV[i])
	if not member or string.match(member, "^[^\n]*\n([^\n]*)") ~= ARGV[1] then
		redis.call("ZREM", KEYS[1], ARGV[i])
	end
end
return 1`)

// renewGroupScript gives the lease of a turn another end, unless another turn has begun.
var renewGroupScript = redis.NewScript(`
local group = redis.call("HGET", KEYS[1], ARGV[1])
if not group or string.match(group, "^%d+") ~= ARGV[2] then
	return 0
end
redis.call("HSET", KEYS[1], ARGV[1], ARGV[2] .. " " .. ARGV[3])
return 1`)

// wait makes an export a member of its group. If its job said something, it was not ready.
func (q *Queue) wait(ctx context.Context, m member, due time.Time) error {
	keys, polls := []string{membersKey, groupsKey, dueKey + m.group, pollsKey}, 0
	if m.said != "" {
		polls = 1
	}
	if err := addMemberScript.Run(ctx, q.redis, keys, m.hash, m.text(), m.group, due.UnixMilli(), polls, time.Now().UnixMilli()).Err(); err != nil {
		return fmt.Errorf("wait for %s: %w", m.hash, wrapRedisError(ctx, err))
	}
	return nil
}

// waits reports whether an export waits for its job.
func (q *Queue) waits(ctx context.Context, hash string) (bool, error) {
	waits, err := q.redis.HExists(ctx, membersKey, hash).Result()
	if err != nil {
		err = fmt.Errorf("look up %s: %w", hash, wrapRedisError(ctx, err))
	}
	return waits, err
}

// endWait takes an export out of its group; if value is not "", only if no other ask for
// it has come since that was read. It reports whether it was a member.
func (q *Queue) endWait(ctx context.Context, hash, value string) (waited bool, err error) {
	waited, err = removeMemberScript.Run(ctx, q.redis, []string{membersKey, pollsKey}, hash, dueKey, value).Bool()
	if err != nil {
		return false, fmt.Errorf("end the wait of %s: %w", hash, wrapRedisError(ctx, err))
	}
	return waited, nil
}

// renew gives the lease of a group's turn another end. It reports whether the turn is
// still the group's.
func (q *Queue) renew(ctx context.Context, group, turn string, ends time.Time) (bool, error) {
	return renewGroupScript.Run(ctx, q.redis, []string{groupsKey}, group, turn, ends.UnixMilli()).Bool()
}

// groupLease is how long a worker has the turn of a group unless it renews its lease.
const groupLease = 25 * time.Second

// claimGroups enqueues the tasks of groups that have members which are due.
func (q *Queue) claimGroups(ctx context.Context) error {
	now := time.Now()
	claimed, err := claimGroupsScript.Run(ctx, q.redis, []string{groupsKey, listingsKey}, now.UnixMilli(), now.Add(groupLease).UnixMilli(), dueKey).StringSlice()
	for i := 0; err == nil && i < len(claimed); i += 2 {
		_, err = q.client.EnqueueContext(ctx, asynq.NewTask(typePlace, []byte(claimed[i])), asynq.Queue(placeQueue),
			asynq.TaskID(placeTaskID(claimed[i], claimed[i+1])), asynq.Timeout(discoverTimeout), asynq.MaxRetry(0))
		if errors.Is(err, asynq.ErrTaskIDConflict) {
			err = nil // this turn ends with its lease
		}
	}
	return err // the lease ends, and the next turn begins
}

// members reads what Redis has of exports, by their hashes: those that wait in a group.
// What can't be read is dropped; the archive knows what it stood for.
func (q *Queue) members(ctx context.Context, group string, hashes []string) ([]member, error) {
	values, err := q.redis.HMGet(ctx, membersKey, hashes...).Result()
	if err != nil {
		return nil, err
	}
	var found []member
	for i, value := range values {
		text, ok := value.(string)
		if !ok { // it waits no more, or never did
			continue
		}
		m, err := parseMember(hashes[i], text)
		if err == nil && m.group == group {
			found = append(found, m)
			continue
		}
		if err != nil {
			_, err = q.endWait(ctx, hashes[i], text)
		}
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// dueMembers reads members of a group that were due at a time, those first that were due
// first, and no more than a number. There are no more if it reads none.
func (q *Queue) dueMembers(ctx context.Context, group string, at time.Time, number int64) ([]member, error) {
	for {
		hashes, err := q.redis.ZRangeByScore(ctx, dueKey+group, &redis.ZRangeBy{Min: "-inf", Max: strconv.FormatInt(at.UnixMilli(), 10), Count: number}).Result()
		if err != nil || len(hashes) == 0 {
			return nil, err
		}
		found, err := q.members(ctx, group, hashes)
		if err != nil || len(found) > 0 {
			return found, err
		}
		args := []any{group}
		for _, hash := range hashes {
			args = append(args, hash)
		}
		if err := dropDueScript.Run(ctx, q.redis, []string{dueKey + group, membersKey}, args...).Err(); err != nil { // asked for again in another group, or not ours
			return nil, err
		}
	}
}

// A postponed member is due again later, since its job was found not ready.
type postponed struct {
	hash string
	due  time.Time
}

// postpone has members of a group be due again.
func (q *Queue) postpone(ctx context.Context, group string, members []postponed) error {
	if len(members) == 0 {
		return nil
	}
	args := make([]any, 0, 2*len(members))
	for _, m := range members {
		args = append(args, m.hash, m.due.UnixMilli())
	}
	return postponeScript.Run(ctx, q.redis, []string{dueKey + group, pollsKey}, args...).Err()
}

// promote gives a member the task of a fetch, and takes it out of its group. Its export is
// there until ends at least, if that is known. A member that can't be read is due again later:
// a newer version may have written it.
func (q *Queue) promote(ctx context.Context, m member, ends time.Time) error {
	task, ref, err := m.task()
	if err != nil {
		return q.postpone(ctx, m.group, []postponed{{m.hash, time.Now().Add(maxPollInterval)}})
	}
	added, err := q.enqueueTask(ctx, typeFetch, ref, task.Options)
	if err == nil && !added {
		err = q.replaceDead(ctx, ref, task.Options)
	}
	if err == nil {
		err = q.setEnds(ctx, m.hash, ends)
	}
	if err == nil {
		_, err = q.endWait(ctx, m.hash, m.value)
	}
	return err
}

// replaceDead enqueues the fetch of an export that has one which no worker takes any more.
func (q *Queue) replaceDead(ctx context.Context, ref fetch.Ref, o Options) error {
	dead, err := q.deleteDead(ctx, taskLocation{fetchQueue, taskID(typeFetch, ref.Hash())})
	if dead && err == nil {
		_, err = q.enqueueTask(ctx, typeFetch, ref, o)
	}
	return err
}

// intervals returns how far apart the last two listings of each place were whose jobs are
// waited for, by the place's text; of the accounts that list a place, the longest.
func (q *Queue) intervals(ctx context.Context) (map[string]time.Duration, error) {
	all, err := q.redis.HGetAll(ctx, listingsKey).Result()
	if err != nil {
		return nil, fmt.Errorf("look up the listings: %w", wrapRedisError(ctx, err))
	}
	intervals := map[string]time.Duration{}
	for group, said := range all {
		var task placeTask
		var at, interval int64
		if _, err := fmt.Sscan(said, &at, &interval); err != nil || json.Unmarshal([]byte(group), &task) != nil {
			continue // of another version
		}
		intervals[task.Place] = max(intervals[task.Place], time.Duration(interval)*time.Millisecond)
	}
	return intervals, nil
}

// waiting yields the exports that wait for their jobs.
func (q *Queue) waiting(ctx context.Context) iter.Seq2[QueuedTask, error] {
	return func(yield func(QueuedTask, error) bool) {
		for cursor := uint64(0); ; {
			page, next, err := q.redis.HScan(ctx, membersKey, cursor, "", listPageSize).Result()
			var found []QueuedTask
			var hashes []string
			groups := map[string][]string{}
			for i := 0; err == nil && i+1 < len(page); i += 2 {
				m, parseErr := parseMember(page[i], page[i+1])
				_, ref, taskErr := m.task()
				if parseErr == nil && taskErr == nil {
					found = append(found, QueuedTask{ID: m.hash, Ref: ref, Why: cmp.Or(m.said, "its job is looked for with the others of its place")})
					hashes, groups[m.group] = append(hashes, m.hash), append(groups[m.group], m.hash)
				}
			}
			polls, due := []any{}, map[string]float64{}
			if err == nil && len(hashes) > 0 {
				polls, err = q.redis.HMGet(ctx, pollsKey, hashes...).Result()
			}
			for group, hashes := range groups {
				var times []float64
				if err == nil {
					times, err = q.redis.ZMScore(ctx, dueKey+group, hashes...).Result()
				}
				for i, at := range times {
					due[hashes[i]] = at
				}
			}
			if err != nil {
				yield(QueuedTask{}, fmt.Errorf("list the queue: %w", wrapRedisError(ctx, err)))
				return
			}
			for i, task := range found {
				task.Next = time.UnixMilli(int64(due[task.ID]))
				if n, ok := polls[i].(string); ok {
					task.Polls, _ = strconv.Atoi(n)
				}
				if !yield(task, nil) {
					return
				}
			}
			if cursor = next; cursor == 0 {
				return
			}
		}
	}
}
