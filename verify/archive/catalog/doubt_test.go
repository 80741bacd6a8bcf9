package catalog

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"tallyman/verify/archive/ledger"
)

// A doubt is counted by its kind, in its place, until a person accepts it or a later count of
// the source takes it back.
func TestDoubtsAreCountedByTheirKind(t *testing.T) {
	t.Parallel()
	a, dir := newArchive(t)
	witnessed := func(job string, hours int, doubts ...string) ledger.Line {
		l := line(ledger.Witnessed, "p", job, hours)
		l.Doubts = doubts
		return l
	}
	accepted := line(ledger.Accepted, "p", "taken", 3)
	accepted.Doubts = []string{"witness-mismatch: 3"}
	mustAppend(t, a,
		landedLine("p", "one", 1, 7), witnessed("one", 2, "witness-mismatch: 1"),
		landedLine("p", "two", 1, 7, "count-mismatch: see witness-mismatch: 2"),
		landedLine("p", "taken", 1, 7, "incomplete: a"), witnessed("taken", 2, "witness-mismatch: 3"), accepted,
		landedLine("p", "agreed", 1, 7), witnessed("agreed", 2, "witness-mismatch: 4"), witnessed("agreed", 3),
		landedLine("q", "late", 1, 7), landedLine("q", "again", 1, 7, "witness-mismatch: 5", "witness-mismatch: 6"),
	)
	c := mustOpen(t, a, dir)
	got, err := c.Doubted("witness-mismatch")
	want := map[string]int64{"sls://cn-hangzhou/p/": 1, "sls://cn-hangzhou/q/": 1}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}
