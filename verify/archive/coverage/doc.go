// Package coverage tells which time the exports of an archive cover, and which they lack.
// What landed may be whole and still not be all: nobody exported an hour.
//
//	union := coverage.Union(spans)                   // arithmetic of times
//	gaps := coverage.Gaps(spans, coverage.Span{from, to})
//	g, err := coverage.Of(c, place, group, within)   // a group of an archive, by its catalog
//
// # Words
//
//   - Span: a time, from a second to the one behind its last.
//   - Window: the span that the job of an export was asked for.
//   - Group: the windows of a place that can be compared, as those of one log store and query.
//   - Covered: in the window of an export that landed, and that is neither damaged nor gone.
//   - Settled: not covered, and no loss: a person has accepted that it is lacking, or has
//     removed an export whose window it was in.
//   - Gap: neither covered nor settled.
//   - Lost: the part of a gap that was covered once, by exports that are damaged or gone.
//   - Overlap: covered by two exports, so that what is in it may be there twice.
//   - Header: the first record of CSV files that names their columns. It is known where
//     exports of a group begin with it, and Firsts.Header says so; it is no row then.
//   - Short: of an export with a known header: as many records came as its job promised only
//     if the header is one of them, so that a row lacks where other jobs promise rows alone.
//   - Expectation: a person declares that a group is to have no gaps, or that something is to
//     land in a place every so often. Without one a gap is no fault.
package coverage
