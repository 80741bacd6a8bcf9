package fetch

import "time"

// At is the same export, fetched once more at that time: its Key ends in
// @20060102T150405Z, so that it lands beside what has landed before. String
// and all else stay as they are.
func (r Ref) At(t time.Time) Ref {
	r.again = t.UTC().Format("@20060102T150405Z")
	return r
}
