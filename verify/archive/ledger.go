package archive

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"tallyman/verify/archive/ledger"
)

const ledgerDir = ".ledger"

// landedLine is the line of the ledger that says that an export landed. bag is the
// SHA-256 of its tag manifest.
func landedLine(r *Receipt, bag string) ledger.Line {
	return ledger.Line{
		Kind: ledger.Landed, Ref: r.Reference, Key: r.Key, Bag: bag,
		Bytes: r.Bytes, Records: r.Records, Window: r.Window, Doubts: r.Doubts,
	}
}

// maxFinds is how many keys are searched for in the ledger before an index of all of
// it is made, which takes as long as a few of them.
const maxFinds = 8

// presence returns the last line of the ledger that says whether an export is in its
// place, or nil if there is none.
func (a *Archive) presence(key string) (*ledger.Line, error) {
	if a.finds.Add(1) > maxFinds {
		index, err := a.ledger.Index()
		if err != nil {
			return nil, unreadableLedger(err)
		}
		latest, err := index.Lookup(key)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		return latest.Presence, nil
	}
	for line, err := range a.ledger.Find(key) {
		switch {
		case err != nil:
			return nil, unreadableLedger(err)
		case line.Kind.IsPresence():
			return &line, nil
		}
	}
	return nil, nil
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
	if line != nil || err != nil {
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
