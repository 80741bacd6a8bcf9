// Package verify holds what was promised about an export and tells whether it
// held.
//
// A [Want] is a promise about the bytes of one object as transferred: by the
// job that made it, by the store that keeps it, by the person who asked for
// it. Wants are merged; those that contradict each other are a [Mismatch]
// before a byte is read.
//
// A [Wire] reads the bytes. Its io.EOF is the verdict: a reader that gets
// io.EOF holds bytes that kept every promise, and one that gets anything else
// holds nothing. There is no second step to forget.
//
// A [Counter] counts the records of a content file, to compare with the
// number that the job promised.
//
// The package imports the standard library only.
package verify
