package archive

import (
	"cmp"
	"context"
	"fmt"

	"tallyman/verify/archive/ledger"
)

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
		line, ok := a.adoptedLine(key)
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

// adoptedLine is the line of an export that has none, unless that is damage: because it
// landed when there was a ledger, or because its bag can't be read.
func (a *Archive) adoptedLine(key string) (line ledger.Line, ok bool) {
	r, err := readReceipt(a.Path(key))
	if err != nil || r.Ledger != "" || r.Key != key {
		return line, false
	}
	bag, err := hashTagManifest(a.Path(key))
	line = landedLine(r, bag)
	line.Kind = ledger.Adopted
	return line, err == nil
}
