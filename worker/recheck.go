package worker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"tallyman/fetch"
	"tallyman/verify/archive"
)

// A Recheck has workers recheck what has landed, again and again, by and by. One worker does
// that at a time, in shards: the one that was rechecked the longest ago comes first.
type Recheck struct {
	Every time.Duration // within which all is rechecked; 0: nothing is
	Rate  int64         // bytes a second; 0: so many that it takes most of the time
}

const (
	// recheckShards is how many there are. A worker that is stopped begins its shard anew.
	recheckShards = 256
	// recheckShare is the part of its time that the recheck of a shard takes: the rest is for
	// what lands meanwhile, and for stops.
	recheckShare = 0.8
	// minRecheckRate is what no disk notices, and soon done where little has landed.
	minRecheckRate = 1 << 20
	// recheckBurst is how many bytes are read at once.
	recheckBurst = 256 << 10
	// recheckPause is how long whoever may not recheck waits.
	recheckPause = 5 * time.Minute
)

// keepRechecking rechecks one shard after the other until ctx ends. It does not wait for
// fetches: it reads so little at a time that they don't notice, and a worker that fetches all
// day would never come to it.
func (w *Worker) keepRechecking(ctx context.Context) {
	told, took := "", time.Duration(0)
	for ctx.Err() == nil {
		pause, err := w.recheckNext(ctx, &took)
		text := ""
		if err != nil && !errors.Is(err, archive.ErrBusy) && ctx.Err() == nil {
			if text = safeText(err); text != told {
				w.Log.Warn("the archive is not rechecked: it is tried again", "error", text)
			}
		}
		told = text
		_ = fetch.Sleep(ctx, pause)
	}
}

// recheckNext rechecks a shard if one is due, and returns how long to wait for the next. took
// is how long this worker took for the last one; 0 is not known.
func (w *Worker) recheckNext(ctx context.Context, took *time.Duration) (pause time.Duration, err error) {
	end, err := w.Archive.Exclusive("rechecks")
	if err != nil {
		return recheckPause, err
	}
	defer end()
	at, err := w.Archive.Rechecked(recheckShards)
	if err != nil {
		return recheckPause, err
	}
	oldest := slices.Index(at, slices.MinFunc(at, time.Time.Compare))
	perShard := w.Recheck.Every / recheckShards
	if !at[oldest].IsZero() && time.Since(at[oldest]) > w.Recheck.Every {
		perShard /= 2 // no worker ran for some time
	}
	if wait := time.Until(slices.MaxFunc(at, time.Time.Compare).Add(perShard - *took)); wait > 0 {
		return wait, nil
	}
	began := time.Now()
	if err = w.recheck(ctx, archive.Shard{K: uint64(oldest) + 1, N: recheckShards}, perShard); err != nil {
		return recheckPause, err
	}
	*took = min(time.Since(began), perShard)
	return perShard - *took, nil
}

// worsts are what a recheck finds, the worst last.
var worsts = []string{"whole", "newer", "absent", "damaged"}

// recheck rechecks a shard within a time, has what is damaged healed, and writes down what
// was found.
func (w *Worker) recheck(ctx context.Context, shard archive.Shard, perShard time.Duration) error {
	keys, bytes, err := w.Archive.Landings(shard)
	if err != nil {
		return err
	}
	perSecond := max(float64(bytes)/(recheckShare*perShard.Seconds()), minRecheckRate)
	if w.Recheck.Rate > 0 {
		perSecond = float64(w.Recheck.Rate)
	}
	if float64(bytes) > perSecond*perShard.Seconds() {
		w.Log.Warn("the rate of rechecks is too low for the time within which all is to be rechecked", "part", shard.String(), "bytes", bytes)
	}
	limit := rate.NewLimiter(rate.Limit(perSecond), recheckBurst)
	onRead := func(n int) {
		for ; n > 0; n -= recheckBurst {
			_ = limit.WaitN(ctx, min(n, recheckBurst)) // if ctx ends, so does the recheck
		}
	}
	audit := w.Archive.Audit()
	defer audit.Close()
	checked, worst := 0, 0
	for _, key := range keys {
		err := audit.Recheck(ctx, key, onRead)
		damage, damaged := errors.AsType[*archive.Damage](err)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case damaged:
			audit.Close() // so that it is known at once
			w.Log.Warn("an export is damaged or gone", "key", key, "error", safeText(err))
			if w.heal(ctx, damage) {
				break
			}
			found := "damaged"
			if damage.Absent {
				found = "absent"
			}
			worst = max(worst, slices.Index(worsts, found))
		case err == nil:
		case errors.Is(err, archive.ErrNewer):
			worst = max(worst, slices.Index(worsts, "newer"))
		case errors.Is(err, archive.ErrBusy), errors.Is(err, fs.ErrNotExist), isA[*archive.RemovedError](err):
			continue // it is landing, or was removed meanwhile
		default:
			return err
		}
		checked++
	}
	audit.Rechecked(shard.String(), checked, worsts[worst])
	w.Log.Debug("rechecked", "part", shard.String(), "exports", checked, "bytes", bytes, "worst", worsts[worst])
	return audit.Unwritten
}

var (
	errUnknownReference = errors.New("nothing tells any more which reference it landed by")
	errSignedSource     = fmt.Errorf("it landed by a signed URL: %w", ErrSignedURL)
)

const (
	// healPatience is how long the source may take to have the export ready.
	healPatience = 10 * time.Minute
	// healTimeout is how long all of it may take, even where the disk is full.
	healTimeout = time.Hour
)

// heal fetches a damaged export anew, in place of what is damaged, and reports whether it
// could. The source must still have the same bytes.
func (w *Worker) heal(ctx context.Context, damage *archive.Damage) bool {
	ctx, cancel := context.WithTimeout(ctx, healTimeout)
	defer cancel()
	ref, known := fetch.RefAt(damage.Key, damage.Reference)
	err := errUnknownReference
	switch {
	case known && damage.Hidden != "" && !ref.Signed():
		err = errSignedSource
	case known:
		local := StartLocal(&Worker{Archive: w.Archive, Fetcher: w.Fetcher, PollConcurrency: 1, FetchConcurrency: 1, Wait: healPatience, PollInterval: w.PollInterval, Attempts: w.Attempts, Profile: w.Profile})
		_, err = local.Fetch(ctx, ref.WithRepair())
		err = errors.Join(err, local.Close())
	}
	if err != nil {
		w.Log.Warn("it can't be healed from its source", "key", damage.Key, "cause", string(Classify(err).Cause), "error", safeText(err))
		return false
	}
	w.Log.Warn("it was fetched anew, and is whole", "key", damage.Key)
	return true
}
