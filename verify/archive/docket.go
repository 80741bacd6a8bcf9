package archive

import "fmt"

// A Record is what is known of an export that has not landed, held by one who
// may change it. It keeps others from receiving the export meanwhile. It is for
// one goroutine.
type Record struct {
	State    State
	Counters Counters
	hold     hold
}

// Record takes up what is known of an export: the reference as it may be shown,
// and its key. If that is nothing, it writes down that the export is
// wanted, and this is durable when Docket returns. It fails with ErrBusy while an
// attempt or another Docket holds the export, and with ErrLanded once it is
// under its final name. The caller closes the Docket.
func (a *Archive) Record(reference, key string) (*Record, error) {
	h, state, err := a.take(reference, key)
	if err != nil {
		return nil, fmt.Errorf("open the docket of %s: %w", reference, err)
	}
	return &Record{State: state, Counters: readTally(h.dir), hold: h}, nil
}

// Save writes the State and the Tally. The State is durable when Save returns;
// if it fails, the one before may be kept.
func (d *Record) Save() error {
	if err := d.hold.archive.disk.replace(d.hold.path(stateFile), d.State); err != nil {
		return fmt.Errorf("save the state of %s: %w", d.State.Reference, err)
	}
	return d.SaveCounters()
}

// SaveCounters writes the Tally alone, and does not wait for the disk.
func (d *Record) SaveCounters() error {
	if err := d.hold.archive.disk.swap(d.hold.path(countsFile), d.Counters); err != nil {
		return fmt.Errorf("count for %s: %w", d.State.Reference, err)
	}
	return nil
}

// Progress is a number that grows whenever more of the export is kept for the next
// attempt. It shrinks when what was received is of no use.
func (d *Record) Progress() int64 {
	s := takeStock(d.hold.dir)
	return s.bytes() + s.done // of which some have no bytes
}

// Discard drops all that was received, to free its space, and the Tally. The
// State stays.
func (d *Record) Discard() error {
	d.Counters = Counters{}
	err := d.hold.drop(lockFile, stateFile)
	if err == nil {
		err = d.hold.archive.disk.syncDir(d.hold.dir)
	}
	if err != nil {
		return fmt.Errorf("discard what was received of %s: %w", d.State.Reference, err)
	}
	return nil
}

// Close frees the export for others. What was not saved is lost.
func (d *Record) Close() error { return d.hold.free() }
