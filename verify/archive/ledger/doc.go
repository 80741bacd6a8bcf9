// Package ledger is an append-only file of lines: what was asked for, what landed,
// what failed and what was seen to go. It knows files, locks, lines and the chain
// that ties each line to the one before, and nothing of what a line speaks of.
//
// A ledger is a directory:
//
//	YYYY-MM.jsonl         the lines, one JSON object each; a later month begins a new file
//	side-RANDOM.jsonl     lines of a writer that could not have the lock
//	side-RANDOM.new       such a file while it is written; nobody's after a crash
//	torn-RANDOM           bytes that were cut off the end of a file
//	torn-RANDOM.new       the same, while the line that tells of it may not be durable
//
// RANDOM is 16 hex digits. No other name counts.
//
// # Words
//
//   - Line: one event. Its seq counts from 1 and decides order; its prev is the SHA-256
//     of the line before, without its newline.
//   - Genesis: what the first line has as its prev.
//   - Chain: that each line's seq and prev follow from the line before.
//   - Break: a place where the chain does not hold. A line of the kind adopted may name it.
//   - Torn tail: what an append that was cut short left behind the last good line.
//   - Hole: zero bytes that a power cut left in the last append, with lines behind them.
//   - Side file: a file of lines that wait for the next writer to take them in.
//   - Presence: whether an export is in its place, by the last line that says so.
//   - Phase: how far an export is, by the last line that says so.
//   - Removed: taken out of the lists by a person; it is neither in its place nor missed.
//
// # Append
//
// A writer locks the last file, writes behind its last good line, syncs and unlocks.
// What a crash leaves after each step, and who clears it up:
//
//	mkdir, create              an empty directory or file: the next writer syncs its name before it appends
//	the torn tail is copied    torn-RANDOM.new and the tail: the next writer copies the tail anew
//	the torn tail is cut       torn-RANDOM.new: the next writer appends the line that tells of it
//	that line is durable       torn-RANDOM.new: the next writer renames it
//	write                      lines that may be there in part, and were not told as durable: the next
//	                           writer cuts what is torn and keeps what is whole
//	sync                       durable lines; side files that were taken in: the next writer finds their
//	                           RANDOM in the ledger, takes in what lacks and removes them
//
// A line that was written and not told as durable may be there or not, so whoever
// appends it again may have it twice. That does not break the chain: the second is a
// line of its own, with a seq and a prev of its own, behind whatever the file holds by
// then, which a writer that failed reads again before it appends.
//
// An append that fails is taken back by cutting the file to its old end while the lock
// is held: a sync that failed may have lost bytes that a later sync does not find
// lacking.
//
// # Read
//
// A reader takes no lock. What is not whole at the end of the last file is being
// written, or torn, and is not damage. Nothing proves that the last line is as it was
// written: only the line behind it does.
package ledger
