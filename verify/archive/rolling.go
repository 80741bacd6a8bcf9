package archive

import (
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"tallyman/verify/archive/internal/rangelock"
	"tallyman/verify/archive/ledger"
)

// A Shard is one of N parts of an archive, the Kth of them, counted from 1. Each key is in
// exactly one of them, by its hash. The zero Shard has all keys.
type Shard struct{ K, N uint64 }

// Has reports whether a key is in the shard.
func (s Shard) Has(key string) bool {
	if s.N == 0 {
		return true
	}
	h := fnv.New64a()
	h.Write([]byte(key))
	return h.Sum64()%s.N == s.K-1
}

// String is the shard as lines of the ledger have it, such as 1/7, or "" for all keys.
func (s Shard) String() string {
	if s.N == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", s.K, s.N)
}

// Landings returns, in order, the keys of a shard that have landed by the ledger and were not
// removed, damaged and absent or not, and the bytes of their content as far as they are known.
func (a *Archive) Landings(s Shard) (keys []string, bytes int64, err error) {
	index, err := a.ledger.Index()
	if err != nil {
		return nil, 0, unreadableLedger(err)
	}
	for key := range index.Keys() {
		if s.Has(key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	all := keys
	keys = keys[:0]
	for _, key := range all {
		latest, err := index.Lookup(key)
		if err == nil && (latest.Presence == nil || latest.Presence.Kind == ledger.Removed) {
			continue
		}
		if err == nil { // else its recheck tells
			bytes += max(0, latest.Presence.Bytes)
		}
		keys = append(keys, key)
	}
	return keys, bytes, nil
}

// Rechecked returns when each of n shards was last rechecked as a whole, the first of them
// first: by itself, or with all others. It is zero for one that never was.
func (a *Archive) Rechecked(n uint64) (at []time.Time, err error) {
	at = make([]time.Time, n)
	numbers := map[string]int{}
	for k := range n {
		numbers[Shard{k + 1, n}.String()] = int(k)
	}
	for line, err := range a.ledger.OfKind(ledger.Rechecked) {
		if err != nil {
			return nil, unreadableLedger(err)
		}
		k, known := numbers[line.Part]
		for i := range at {
			if line.Part == "" || known && i == k {
				at[i] = line.Line.At
			}
		}
	}
	return at, nil
}

// rechecksKey is no key of an export.
const rechecksKey = ".rechecks"

// LockRechecks keeps others from rechecking the archive in the background until unlock is
// called, or the process ends. It fails with ErrBusy if another does.
func (a *Archive) LockRechecks() (unlock func() error, err error) {
	lock, err := rangelock.TryLock(a.runsPath(locksFile), lockOffset(rechecksKey))
	if err == nil && lock == nil {
		err = ErrBusy
	}
	if err != nil {
		return nil, fmt.Errorf("lock rechecks: %w", err)
	}
	return lock.Close, nil
}
