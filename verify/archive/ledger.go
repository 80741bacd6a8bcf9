package archive

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"tallyman/verify/archive/ledger"
)

const ledgerDir = ".ledger"

// landedLine is the line of the ledger that says that an export landed. bag is the
// SHA-256 of its tag manifest.
func landedLine(r *Receipt, bag string) ledger.Line {
	return ledger.Line{
		Kind: ledger.Landed, Ref: r.Reference, Key: r.Key, Bag: bag,
		Bytes: r.Bytes, Records: r.Records, First: r.First, Window: r.Window, Doubts: r.Doubts,
	}
}

// presence returns the last line of the ledger that says whether an export is in its
// place, or nil if there is none.
func (a *Archive) presence(key string) (*ledger.Line, error) {
	latest, err := a.ledger.Latest(key)
	if err != nil {
		return nil, unknownLatest(err)
	}
	return latest.Presence, nil
}

// toldBy is what the ledger alone tells of an export. It fails with fs.ErrNotExist if that is
// nothing.
func toldBy(latest ledger.Latest, err error) (s State, _ error) {
	if err != nil {
		return s, unknownLatest(err)
	}
	if s.follow(latest.Phase); s.Key == "" {
		return s, fs.ErrNotExist
	}
	return s, nil
}

// unknownLatest explains why the last lines of an export are not known.
func unknownLatest(err error) error {
	if _, broken := errors.AsType[*ledger.BreakError](err); broken {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return unreadableLedger(err)
}

// unreadableLedger explains why the ledger can't be read.
func unreadableLedger(err error) error {
	if errors.Is(err, fs.ErrNotExist) { // not wrapped: it would say that an export has not landed
		return fmt.Errorf("%w: read the ledger: %s", ErrDamaged, err.Error())
	}
	return fmt.Errorf("read the ledger: %w", err)
}

// completeLine appends the line of an export that is in its place, and whose commit
// was cut short before it had one. The caller has the export's lock.
func (a *Archive) completeLine(key string) error {
	line, err := a.presence(key)
	if line != nil && line.Kind != ledger.Removed || err != nil {
		return err
	}
	r, err := readReceipt(a.Path(key))
	if errors.Is(err, ErrDamaged) || err == nil && r.Ledger == "" { // or of an earlier version, which has no ledger
		return nil
	}
	if err != nil {
		return err
	}
	bag, err := hashTagManifest(a.Path(key))
	if err != nil {
		return err
	}
	return a.ledger.Append(landedLine(r, bag))
}

// hashTagManifest returns the SHA-256 of the tag manifest of a bag, in hex. It stands
// for the whole bag, whose every file that lists directly or by the manifest.
func hashTagManifest(bag string) (string, error) {
	b, err := os.ReadFile(filepath.Join(bag, tagManifest))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w: %s", ErrDamaged, err.Error())
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), err
}

// defaultAdoptAtOnce is how many lines an adoption appends at once: others may wait to
// write to the ledger.
const defaultAdoptAtOnce = 1000

// IsAdopted reports whether all that landed before there was a ledger has its line in it.
func (a *Archive) IsAdopted() (bool, error) {
	through, err := a.ledger.Through()
	if err != nil {
		return false, fmt.Errorf("read the ledger: %w", err)
	}
	return through, nil
}

// Adopt writes a line in the ledger of each export that landed before there was one, or
// by a version that has none, and at last one that says that this is done. It reads
// receipts and tag manifests, and no content; a bag whose receipt can't be read gets no
// line. If it fails, or ctx ends, the next call goes on from there.
func (a *Archive) Adopt(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("adopt what landed before the ledger: %w", err)
		}
	}()
	through, err := a.ledger.Through()
	if err != nil {
		return err
	}
	index, err := a.ledger.Index()
	if err != nil {
		return err
	}
	var lines []ledger.Line
	for key, err := range a.All() {
		if err := cmp.Or(err, context.Cause(ctx)); err != nil {
			return err
		}
		if latest, err := index.Lookup(key); err != nil || latest.Presence != nil {
			continue // a line that can't be read is damage, which this does not hide
		}
		line, _, ok := a.adoptedLine(key)
		if !ok {
			continue
		}
		if lines = append(lines, line); len(lines) < cmp.Or(a.adoptAtOnce, defaultAdoptAtOnce) {
			continue
		}
		if err := a.ledger.Append(lines...); err != nil {
			return err
		}
		lines = nil
		if index, err = a.ledger.Index(); err != nil { // another process may adopt as well
			return err
		}
	}
	if !through {
		lines = append(lines, ledger.Line{Kind: ledger.Adopted, Through: true})
	}
	return a.ledger.Append(lines...)
}

// adoptedLine is the line of an export that has none, and its receipt, unless that is
// damage: because it landed when there was a ledger, or because its bag can't be read.
func (a *Archive) adoptedLine(key string) (line ledger.Line, r *Receipt, ok bool) {
	r, err := readReceipt(a.Path(key))
	if err != nil || r.Ledger != "" || r.Key != key {
		return line, nil, false
	}
	bag, err := hashTagManifest(a.Path(key))
	line = landedLine(r, bag)
	line.Kind, line.LandedAt = ledger.Adopted, r.Landed
	if line.Window == nil {
		line.Window = a.Window(r.Reference, key)
	}
	return line, r, err == nil
}

// Window returns the window of an export in its place as WindowOf finds it, for a line of
// the ledger that has none; or nil. No answer of an export is read that is not there, or
// can't be read.
func (a *Archive) Window(reference, key string) *ledger.Window {
	if a.WindowOf == nil {
		return nil
	}
	return a.WindowOf(reference, func() any {
		if r, err := readReceipt(a.Path(key)); err == nil && r.Key == key {
			return r.Answer
		}
		return nil
	})
}

// Ledger is the archive's ledger, for a reader that keeps an index of it.
func (a *Archive) Ledger() *ledger.Ledger { return a.ledger }

// Settle appends the lines that the ledger lacks: of exports whose commit was cut short,
// and, as Adopt does, of those that landed before there was a ledger. Where it can't it
// returns the lines, with the times when the exports landed, and why in unwritten.
func (a *Archive) Settle(ctx context.Context) (lacking []ledger.Line, unwritten, err error) {
	begun, unwritten := a.clearRuns()
	a.count(begun)
	if unwritten != nil {
		if lacking, err = a.unfinished(); err != nil {
			return nil, unwritten, err
		}
	}
	through, err := a.IsAdopted()
	if through || err != nil {
		return lacking, unwritten, err
	}
	var index *ledger.Index
	for key, err := range a.All() {
		if index == nil && err == nil {
			adoption := a.Adopt(ctx)
			if adoption == nil || ctx.Err() != nil {
				return lacking, unwritten, context.Cause(ctx)
			}
			unwritten = cmp.Or(unwritten, adoption)
			index, err = a.ledger.Index()
		}
		if err := cmp.Or(err, context.Cause(ctx)); err != nil {
			return nil, unwritten, err
		}
		if latest, err := index.Lookup(key); err != nil || latest.Presence != nil {
			continue
		}
		if line, r, ok := a.adoptedLine(key); ok {
			line.At = r.Landed
			lacking = append(lacking, line)
		}
	}
	return lacking, unwritten, nil
}

// unfinished returns the lines of the batches of processes that have ended, of exports
// that are in their places and have no line.
func (a *Archive) unfinished() (lines []ledger.Line, err error) {
	entries, err := os.ReadDir(a.runsPath())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		if !e.IsDir() || isLocked(a.runsPath(e.Name(), batchFile)) {
			continue
		}
		batch, err := readBatch(a.runsPath(e.Name()))
		if errors.Is(err, fs.ErrPermission) { // of another user, by an earlier version
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, line := range batch {
			bag, err := hashTagManifest(a.Path(line.Key))
			if err != nil || bag != line.Bag {
				continue
			}
			if known, err := a.presence(line.Key); err != nil || known != nil && known.Bag == bag {
				continue
			}
			if r, err := readReceipt(a.Path(line.Key)); err == nil {
				line.At = r.Landed
			}
			lines = append(lines, line)
		}
	}
	return lines, nil
}

// Adopt takes the bag of an export for the one that landed, for a reason that a person
// gives, if it is whole: a copy that was put back, or a bag whose line was lost. It
// reports whether the ledger did not say so already. It fails as Recheck does, but for
// what the ledger alone says.
func (u *Audit) Adopt(ctx context.Context, key, reason string, onRead func(bytes int)) (adopted bool, err error) {
	a := u.archive
	last, err := a.presence(key)
	if err != nil && !errors.Is(err, ErrDamaged) { // its line may be damaged
		return false, err
	}
	if landed, err := a.landed(key); !landed {
		switch {
		case err == nil && last != nil && last.Kind == ledger.Removed:
			return false, newRemovedError(last)
		case err == nil && last != nil:
			return false, a.absence(last)
		}
		return false, fmt.Errorf("adopt %s: %w", key, cmp.Or(err, fs.ErrNotExist))
	}
	if _, err := recheck(ctx, a.Path(key), key, onRead); err != nil {
		return false, err
	}
	last, problem, err := u.compare(key, last)
	if err != nil && !errors.Is(err, ErrNewer) {
		return false, err
	}
	gone := last != nil && slices.Contains([]ledger.Kind{ledger.Damaged, ledger.Absent, ledger.Removed}, last.Kind)
	if problem == "" && err == nil && last != nil && !gone {
		return false, nil
	}
	r, unread := readReceipt(a.Path(key))
	bag, unhashed := hashTagManifest(a.Path(key))
	if err := errors.Join(unread, unhashed); err != nil {
		return false, err
	}
	line := landedLine(r, bag)
	line.Kind, line.LandedAt, line.Reason = ledger.Adopted, r.Landed, reason
	if line.Window == nil {
		line.Window = a.Window(r.Reference, key)
	}
	if gone {
		line.Kind = ledger.Restored
	}
	return true, a.ledger.Append(line)
}

// A Listing is how a place was listed.
type Listing struct {
	Place   string // its reference
	Profile string // the name of the account
	Found   int    // how many exports were listed
	New     int    // of them, those that the archive did not know
	Missing int    // of those, the ones that nobody was asked to fetch
	Partial bool   // some exports of the place were left out, whatever they are

	Cause, Message, RequestID string // of the error that it ended with; without a Message there was none
}

// RecordListing writes down how a place was listed, unless what was written last, less than a
// day ago, says the same and nothing was new. A part in which nothing is missing says nothing
// of the others.
func (a *Archive) RecordListing(l Listing) error {
	last, err := a.ledger.Last(ledger.Listed, l.Place)
	if err != nil {
		return unreadableLedger(err)
	}
	same := last != nil && (last.Message == "") == (l.Message == "") && last.Cause == l.Cause &&
		(last.Partial == l.Partial && last.Missing == int64(l.Missing) || l.Partial && l.Missing == 0 && !last.Partial)
	if same && l.New == 0 && time.Since(last.At) < 24*time.Hour {
		return nil
	}
	return a.ledger.Append(ledger.Line{
		Kind: ledger.Listed, Ref: l.Place, Profile: l.Profile, Found: int64(l.Found), New: int64(l.New), Missing: int64(l.Missing), Partial: l.Partial,
		Cause: l.Cause, Message: l.Message, RequestID: l.RequestID,
	})
}

// An Acceptance says what a person takes as it is: the doubts of an export that landed, the
// failure of one that did not, why a place can't be listed, or a window of it.
type Acceptance struct {
	Reference string         // of the export or of the place
	Key       string         // of the export; "": it is a place
	Doubts    []string       // of an export that landed: all that are accepted, also from before
	Cause     string         // of the failure, or of the error of the place
	Message   string         // of the failure
	Window    *ledger.Window // of a place
	By        string         // who
	Reason    string         // and why
}

// ErrOtherFailure is of a failure that is not the one that a person has seen.
var ErrOtherFailure = errors.New("it has failed otherwise, or was asked for again, since")

// Accept writes down what a person takes as it is. It is bound to those doubts, to that
// failure, error or window, and never to later ones. It fails with ErrOtherFailure if the
// failure is another by now, and with ErrBusy while an attempt is under way.
func (a *Archive) Accept(c Acceptance) error {
	line := ledger.Line{
		Kind: ledger.Accepted, Ref: c.Reference, Key: c.Key, Doubts: c.Doubts, Cause: c.Cause, Message: c.Message, Window: c.Window, By: c.By, Reason: c.Reason,
	}
	if c.Key == "" || len(c.Doubts) > 0 {
		return a.ledger.Append(line)
	}
	d, err := a.Record(c.Reference, c.Key) // under the lock nobody else says how far it is
	if err != nil {
		return err
	}
	switch {
	case d.State.Phase != Failed || d.State.Cause != c.Cause || d.State.Message != c.Message:
		err = fmt.Errorf("accept %s: %w", c.Reference, ErrOtherFailure)
	case d.State.Ledger == "": // an earlier version wrote it, and no line says that it failed
		err = d.Save()
	}
	if err == nil {
		err = a.ledger.Append(line)
	}
	return errors.Join(err, d.Close())
}

// adoptLedger names the place where the ledger begins if it was there before the
// archive.json that was just made, in place of one that was lost: the first line follows
// from that.
func (a *Archive) adoptLedger() error {
	for _, err := range a.ledger.All() {
		b, broken := errors.AsType[*ledger.BreakError](err)
		if !broken || b.SeqBefore > 0 {
			return err
		}
		return a.ledger.Append(ledger.Line{Kind: ledger.Adopted, Reason: identityFile + " was made anew", Break: &b.Break})
	}
	return nil
}

// AdoptBreaks names places where the ledger is damaged in a line each, for a reason that
// a person gives. They are no damage from then on.
func (u *Audit) AdoptBreaks(breaks []*ledger.BreakError, reason string) error {
	var lines []ledger.Line
	for _, b := range breaks {
		lines = append(lines, ledger.Line{Kind: ledger.Adopted, Reason: reason, Break: &b.Break})
	}
	return u.archive.ledger.Append(lines...)
}
