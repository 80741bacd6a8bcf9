package fetch

import "time"

const revisionLayout = "@20060102T150405Z"

// WithRevision is the same export, fetched once more at that time: its Key ends in
// @20060102T150405Z, so that it lands beside what has landed before. String
// and all else stay as they are.
func (r Ref) WithRevision(t time.Time) Ref {
	r.revision = t.UTC().Format(revisionLayout)
	return r
}

// Revision is the time that WithRevision was told, to the second, or zero.
func (r Ref) Revision() time.Time {
	t, _ := time.Parse(revisionLayout, r.revision) // which fails for "" alone
	return t
}
