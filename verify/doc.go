// Package verify says what was promised about an export and whether it held. It
// imports the standard library only.
//
// # Words
//
//   - Promise, [Want]: what was said about the bytes of one object as
//     transferred, by the job that made it, the store that keeps it, or the
//     person who asked for it. Promises are merged. Two that contradict each
//     other are a [Mismatch] before a byte is read.
//   - [Wire]: the reader of these bytes. Its io.EOF is the verdict: a caller that
//     gets io.EOF has bytes that kept every promise, and a caller that gets
//     anything else must not use what it read. There is no second step to forget.
//   - [Check]: one promise and its verdict: held, broken, or not comparable.
//   - Proof: the check that proves the bytes. Their number alone is no proof.
//   - ETag: a store's name for one version of an object. Some are the MD5 of the
//     bytes, some a hash of the MD5s of the parts of a multipart upload, and
//     others are opaque.
//   - [Counter]: counts the records of a content file, that is of decoded bytes,
//     to compare with the number that the job promised.
//   - Format: "csv", "json" (one JSON value on each line), "text" (records with a
//     delimiter), or "" for content whose records can't be counted.
package verify
