// Package catalog keeps an index of the ledger of an archive, so that what an archive
// holds, what it waits for and what has failed can be asked without walking it. The
// ledger is the truth; a catalog is a cache of it, which may be removed at any time.
//
//	c, err := catalog.Open(ctx, store, catalog.Options{Dir: dir, PlaceOf: placeOf})
//	defer c.Close()
//	for place, err := range c.Places() { … }                         // sums by place
//	for cause, err := range c.Causes(catalog.Filter{}) { … }         // failures by cause
//	for e, err := range c.Exports(catalog.Filter{Places: …}) { … }   // exports, filtered and ordered
//	page, err := c.List(catalog.Filter{}, catalog.Paging{Limit: 50}) // the newest, a page at a time
//	e, err := c.Export(key)                                          // one, and
//	lines, err := c.Events(key)                                      // what the ledger tells of it
//	err = c.Refresh(ctx)                                             // read on; Open has done so
//	c, err = catalog.Follow(ctx, c, store, options)                  // either, for one who keeps it
//
// Open and Refresh read what the ledger has that the catalog lacks. All that is asked in
// between is answered from one state of it.
//
// # Words
//
//   - Export: as elsewhere. Its phase is how it stands by the last lines of it.
//   - Place: a group of exports that Options.PlaceOf makes of a reference, such as what is
//     listed at once.
//   - When: of an export, the time that it is ordered and chosen by: when it landed, or
//     else when it last changed.
//   - Window: the time that an export spans which landed, from the first second to the one
//     behind the last. The ledger has it, or, of what an earlier version landed, the receipt.
//   - Group: the windows of a place that can be compared, as those of one log store and query.
//   - Doubt: a reason to look twice. One that a person has accepted is shown, and open no
//     more.
//   - Accepted: of an export or of a place that can't be listed: a person takes it as it
//     is. That is bound to the failure, the damage or the texts of the doubts, and never
//     holds for later ones.
//   - Fold: to work the lines of the ledger into the rows of the catalog. The table folds
//     says what a line of each kind changes; kinds that are not in it change nothing.
//   - Mark: the last line that was ever read of this ledger and is durable. A ledger that
//     has it no more was cut.
//   - Overlay: rows that hold for one Catalog alone: of lines that wait in side files, that
//     could not be appended to the ledger, or that could not be written to the file.
//
// # The file
//
// It is an SQLite database, DIR/ID-PATH-N.sqlite: by the archive's ID and a hash of its
// real path, so that a copy of an archive has a catalog of its own. It keeps where the
// last line was that is folded, and that line's hash. It is made anew, with a higher N,
// if that line is not there as it was, if it is of another version of the schema, or if
// it is damaged. One process makes it while others wait for the lock; one folds while
// others read. Nobody is kept waiting for long by a process that stands still: it folds
// into an overlay instead. Where no file can be, the catalog is in memory, and is gone
// with the process.
package catalog
