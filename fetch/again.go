package fetch

import "time"

const againForm = "@20060102T150405Z"

// At is the same export, fetched once more at that time: its Key ends in
// @20060102T150405Z, so that it lands beside what has landed before. String
// and all else stay as they are.
func (r Ref) At(t time.Time) Ref {
	r.again = t.UTC().Format(againForm)
	return r
}

// Again is the time that At was told, to the second, or zero.
func (r Ref) Again() time.Time {
	t, _ := time.Parse(againForm, r.again) // which fails for "" alone
	return t
}
