package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"time"

	"tallyman/verify/archive/internal/rangelock"
	"tallyman/verify/archive/ledger"
)

// ErrNewer is of a bag that has no line in the ledger and landed after all that have one:
// it was copied here later than the ledger, or the end of the ledger is lost.
var ErrNewer = errors.New("it landed after the last line of this ledger")

// An Audit holds the bags of an archive against its ledger, and writes down there what is
// damaged, absent and whole again. It is for one goroutine.
type Audit struct {
	// Unwritten says why something that was found is not in the ledger, or is nil.
	Unwritten error

	archive *Archive
	newest  *time.Time // when the last export landed that has a line; nil: it was not looked for
	found   []finding
}

// A finding is a line that is to be written of an export, and the last line that there
// was when that was looked at, or nil.
type finding struct{ line, last *ledger.Line }

// Audit begins an Audit. The caller closes it.
func (a *Archive) Audit() *Audit { return &Audit{archive: a} }

// Recheck is Audit.Recheck of one export, of which nothing is written down.
func (a *Archive) Recheck(ctx context.Context, key string, onRead func(bytes int)) error {
	return a.Audit().Recheck(ctx, key, onRead)
}

// Absent yields the keys of the exports that have a line in the ledger and no bag, in
// order, but for those that were removed. It ends after the first error.
func (a *Archive) Absent() iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		index, err := a.ledger.Index()
		if err != nil {
			yield("", unreadableLedger(err))
			return
		}
		keys, err := index.Keys()
		if err != nil {
			yield("", unreadableLedger(err))
			return
		}
		for _, key := range keys {
			if isBag(a.Path(key)) {
				continue
			}
			latest, err := index.Lookup(key)
			missed := latest.Presence != nil && latest.Presence.Kind != ledger.Removed
			if (err != nil || missed) && !yield(key, nil) {
				return
			}
		}
	}
}

// Recheck proves that an export is as it was when it landed: every file of its bag is
// there with the bytes that the manifests list, no other file is, and it is the bag that
// the ledger says landed. It opens nothing outside the bag. It calls onRead, if there is
// one, with the number of bytes of each read of a file.
//
// It fails with a *Damage that says what is wrong, with fs.ErrNotExist if the export has
// not landed, with a *RemovedError if it was removed, with ErrBusy if the bag is whole and its commit is under way, or if it is not
// and is being replaced, with ErrNewer if it is whole and newer than the ledger, or with the
// error of ctx.
func (u *Audit) Recheck(ctx context.Context, key string, onRead func(bytes int)) error {
	a := u.archive
	last, err := a.presence(key) // first: a commit writes its line once the bag is in its place
	if errors.Is(err, ErrDamaged) {
		return &Damage{Key: key, Problems: []string{err.Error()}}
	}
	if err == nil && last != nil && last.Kind == ledger.Removed {
		last, err = a.settleRemoved(key, last)
	}
	removed := err == nil && last != nil && last.Kind == ledger.Removed
	landed := false
	if err == nil {
		landed, err = a.landed(key)
	}
	if removed && landed && !a.Busy(key) {
		return u.conclude(key, last, &Damage{Key: key, Problems: []string{newRemovedError(last).Error() + ", and a bag is in its place"}})
	}
	if err == nil && (!landed || removed) {
		if removed {
			return fmt.Errorf("recheck %s: %w", key, newRemovedError(last))
		}
		if last != nil {
			return u.conclude(key, last, a.absence(last))
		}
		err = fs.ErrNotExist
	}
	if err != nil {
		return fmt.Errorf("recheck %s: %w", key, err)
	}
	_, err = recheck(ctx, a.Path(key), key, onRead)
	damage, damaged := errors.AsType[*Damage](err)
	if err != nil && !damaged {
		return err
	}
	compared, problem, err := u.compare(key, last)
	if err != nil && !damaged {
		return err
	}
	if err == nil {
		last = compared
	}
	if problem != "" {
		if !damaged {
			damage = &Damage{Key: key}
		}
		damage.Problems = append(damage.Problems, problem)
	}
	return u.conclude(key, last, damage)
}

// conclude writes down what was found of an export, or that it is whole, and returns the
// damage. It fails with ErrBusy if an export that is not whole is being replaced.
func (u *Audit) conclude(key string, last *ledger.Line, damage *Damage) error {
	a := u.archive
	if damage != nil && a.isReplaced(key, last) {
		return fmt.Errorf("recheck %s: %w", key, ErrBusy)
	}
	u.note(key, last, damage)
	if damage == nil {
		return nil
	}
	if r, err := readReceipt(a.Path(key)); err == nil && r.Key == key {
		damage.Reference, damage.Hidden = cmp.Or(damage.Reference, r.Reference), r.Hidden
	}
	return damage
}

// isReplaced reports whether an export that is not whole is being received anew, or was
// since that line was its last.
func (a *Archive) isReplaced(key string, last *ledger.Line) bool {
	if locked, err := rangelock.IsLocked(a.runsPath(locksFile), lockOffset(key)); err == nil && locked && a.Busy(RepairKey(key)) {
		return true
	}
	return a.hasChanged(key, last)
}

// hasChanged reports whether another line is the last of an export by now.
func (a *Archive) hasChanged(key string, last *ledger.Line) bool {
	now, err := a.presence(key)
	return err == nil && now != nil && (last == nil || now.Seq != last.Seq || now.Kind != last.Kind)
}

// compare compares a bag with the last line of it, and says in what it differs. If it has
// no line yet since its commit was cut short, compare completes that. It fails with ErrBusy
// if the commit is under way, and with ErrNewer.
func (u *Audit) compare(key string, last *ledger.Line) (_ *ledger.Line, problem string, err error) {
	a := u.archive
	r, err := readReceipt(a.Path(key))
	if errors.Is(err, ErrDamaged) { // a problem already
		return last, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	if last == nil && r.Ledger != "" {
		if last, err = u.settle(key, r); last == nil && err == nil {
			return nil, noLine, nil
		}
		if err != nil {
			return nil, "", err
		}
	}
	bag, err := hashTagManifest(a.Path(key))
	if err == nil {
		last, err = a.settleRepair(key, last, bag)
	}
	switch {
	case last == nil || errors.Is(err, ErrDamaged) || err == nil && bag == last.Bag: // it landed before there was a ledger, or is damaged
	case err != nil:
		return nil, "", err
	case last.Bag != "":
		problem = "it is another bag than " + a.landing(last)
	case r.Ledger != "":
		problem = noLine
	}
	return last, problem, nil
}

// noLine is the problem of a bag that was committed with a line in the ledger, which is
// lost.
const noLine = "it has no line in the ledger that says that it landed"

// lineOf is the line of a bag that had none when it was looked for, by the rules of an
// Audit, or nil if it landed before there was a ledger. It fails with a *Damage if the line
// is lost, with ErrBusy and with ErrNewer.
func (a *Archive) lineOf(key string) (*ledger.Line, error) {
	r, err := readReceipt(a.Path(key))
	if errors.Is(err, ErrDamaged) { // which a recheck tells
		return nil, nil
	}
	if err != nil || r.Ledger == "" {
		return nil, err
	}
	last, err := a.Audit().settle(key, r)
	if last == nil && err == nil {
		return nil, &Damage{Key: key, Reference: r.Reference, Hidden: r.Hidden, Problems: []string{noLine}}
	}
	return last, err
}

// settleRepair has a repair completed that put a bag in its place and was cut short before
// its line, and returns the last line then.
func (a *Archive) settleRepair(key string, last *ledger.Line, bag string) (*ledger.Line, error) {
	if last == nil || last.Bag == bag {
		return last, nil
	}
	if committing, unsaid := a.inBatch(key); committing && unsaid == nil {
		return a.presence(key)
	}
	return last, nil // it is told as it was before
}

// sameTime is how far apart exports may land whose lines are in any order.
const sameTime = 100 * time.Millisecond

// settle looks for the line of a bag that had none when it was looked for, and has a
// commit that was cut short completed. It fails with ErrBusy if the commit is under way,
// and with ErrNewer.
func (u *Audit) settle(key string, r *Receipt) (*ledger.Line, error) {
	a := u.archive
	committing, err := a.inBatch(key)
	if _, none := os.Lstat(a.ingestPath(key)); err == nil && none == nil {
		var lock exportLock
		if lock, _, err = a.lockExport(r.Reference, key); err == nil {
			err = lock.close()
		}
	}
	last, unread := a.presence(key)
	switch {
	case last != nil || unread != nil:
		return last, unread
	case errors.Is(err, ErrBusy) || err == nil && (committing || a.Busy(key)):
		return nil, fmt.Errorf("recheck %s: %w", key, ErrBusy)
	case err != nil && !errors.Is(err, ErrLanded): // its line can't be written
		u.Unwritten = cmp.Or(u.Unwritten, err)
		line := landedLine(r, "")
		line.Bag, err = hashTagManifest(a.Path(key))
		return &line, err
	}
	if u.newest == nil {
		newest, err := a.newestLanding()
		if err != nil {
			return nil, err
		}
		u.newest = &newest
	}
	if r.Landed.After(u.newest.Add(-sameTime)) {
		return nil, fmt.Errorf("recheck %s: %w", key, ErrNewer)
	}
	return nil, nil
}

// newestLanding is when the export landed that has the last line of one that did.
func (a *Archive) newestLanding() (time.Time, error) {
	var newest ledger.Line
	for line, err := range a.ledger.All() {
		if _, broken := errors.AsType[*ledger.BreakError](err); err != nil && !broken {
			return time.Time{}, unreadableLedger(err)
		}
		if line.Kind == ledger.Landed || line.Kind == ledger.Restored {
			newest = line
		}
	}
	if r, err := readReceipt(a.Path(newest.Key)); newest.Key != "" && err == nil && r.Key == newest.Key {
		return r.Landed, nil
	}
	return newest.At, nil
}

// landing says when the export landed that a line speaks of.
func (a *Archive) landing(last *ledger.Line) string {
	for line, err := range a.ledger.Find(last.Key) {
		switch {
		case err != nil:
		case line.Kind == ledger.Landed || line.Kind == ledger.Restored:
			return "landed on " + day(&line)
		case line.Kind == ledger.Adopted:
			return "was there on " + day(&line)
		}
	}
	return "was there on " + day(last)
}

func day(line *ledger.Line) string { return line.At.UTC().Format("2006-01-02 15:04:05 MST") }

// absence is the Damage of an export that is not in its place, by the last line of it.
func (a *Archive) absence(last *ledger.Line) *Damage {
	return &Damage{Key: last.Key, Reference: last.Ref, Absent: true, Problems: []string{"it " + a.landing(last) + ", and is gone"}}
}

const (
	maxFound    = 1000 // lines that an Audit keeps before it writes them
	maxProblems = 20   // of a line
)

// note has a line written of what was found of an export, unless the last line says so,
// and adds what that knows to the damage.
func (u *Audit) note(key string, last *ledger.Line, damage *Damage) {
	line := ledger.Line{Kind: ledger.Damaged, Key: key}
	switch {
	case damage == nil:
		line.Kind = ledger.Healed
		if last == nil || last.Kind != ledger.Damaged && last.Kind != ledger.Absent {
			return
		}
	case damage.Absent:
		line.Kind = ledger.Absent
	}
	if last != nil {
		if damage != nil {
			damage.Reference = last.Ref
		}
		line.Ref, line.Bag = last.Ref, last.Bag
		if last.Kind == line.Kind {
			return
		}
	}
	switch {
	case line.Kind == ledger.Healed && line.Bag == "":
		line.Bag, _ = hashTagManifest(u.archive.Path(key))
	case line.Kind == ledger.Damaged:
		line.Problems = damage.Problems[:min(len(damage.Problems), maxProblems)]
	}
	if u.found = append(u.found, finding{&line, last}); len(u.found) == maxFound {
		u.write()
	}
}

// write writes down what was found, but of exports that were replaced since.
func (u *Audit) write() {
	var lines []ledger.Line
	for _, f := range u.found {
		if !u.archive.hasChanged(f.line.Key, f.last) {
			lines = append(lines, *f.line)
		}
	}
	u.Unwritten = cmp.Or(u.Unwritten, u.archive.ledger.Append(lines...))
	u.found = nil
}

// Rechecked writes down that a run of rechecks has ended: of the whole archive, or of a part
// of it such as "1/7", in which so many exports were, and the worst that was found: whole,
// newer, absent or damaged.
func (u *Audit) Rechecked(part string, exports int, worst string) {
	u.write()
	u.Unwritten = cmp.Or(u.Unwritten, u.archive.ledger.Append(ledger.Line{Kind: ledger.Rechecked, Part: part, Checked: int64(exports), Worst: worst}))
}

// Close writes down what was found. What could not be written is told by Unwritten.
func (u *Audit) Close() { u.write() }

// A LedgerReport says how the ledger itself is.
type LedgerReport struct {
	Breaks []*ledger.BreakError // places where lines were lost or changed
	Torn   int64                // bytes at its end that an append that was cut short left
	Ahead  time.Time            // of the last line, if that is more than a day ahead of the clock
}

// CheckLedger reads the whole ledger.
func (u *Audit) CheckLedger() (r LedgerReport, err error) {
	if r.Torn, err = u.archive.ledger.Torn(); err != nil {
		return r, unreadableLedger(err)
	}
	var last time.Time
	for line, err := range u.archive.ledger.All() {
		broken, ok := errors.AsType[*ledger.BreakError](err)
		switch {
		case ok:
			r.Breaks = append(r.Breaks, broken)
		case err != nil:
			return r, unreadableLedger(err)
		case line.Seq > 0:
			last = line.At
		}
	}
	if last.After(time.Now().Add(24 * time.Hour)) {
		r.Ahead = last
	}
	return r, nil
}
