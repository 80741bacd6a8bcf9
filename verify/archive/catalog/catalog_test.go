package catalog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"tallyman/verify/archive"
	"tallyman/verify/archive/ledger"
)

var begin = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// newArchive makes an archive, and a directory for its catalog.
func newArchive(t testing.TB) (a *archive.Archive, dir string) {
	t.Helper()
	a, err := archive.Open(filepath.Join(t.TempDir(), "archive"), "", archive.SiteAbsent)
	if err != nil {
		t.Fatal(err)
	}
	return a, t.TempDir()
}

func mustAppend(t testing.TB, a *archive.Archive, lines ...ledger.Line) {
	t.Helper()
	if err := a.Ledger().Append(lines...); err != nil {
		t.Fatal(err)
	}
}

func mustOpen(t testing.TB, a *archive.Archive, dir string) *Catalog {
	t.Helper()
	c, err := Open(t.Context(), a, Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// line is a line of an export of a place, at so many hours.
func line(kind ledger.Kind, place, job string, hours int) ledger.Line {
	return ledger.Line{Kind: kind, At: begin.Add(time.Duration(hours) * time.Hour), Ref: "sls://cn-hangzhou/" + place + "/" + job, Key: "sls/cn-hangzhou/" + place + "/" + job}
}

func landedLine(place, job string, hours int, records int64, doubts ...string) ledger.Line {
	l := line(ledger.Landed, place, job, hours)
	l.Bytes, l.Records, l.Doubts, l.Bag = 10*records, records, doubts, strings.Repeat("ab", 32)
	return l
}

func failedLine(place, job string, hours int, cause, message string) ledger.Line {
	l := line(ledger.Failed, place, job, hours)
	l.Cause, l.Message, l.RequestID = cause, message, "id-"+job
	return l
}

func mustExports(t testing.TB, c *Catalog, f Filter) (all []Export) {
	t.Helper()
	for e, err := range c.Exports(f) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// mustNames returns the names of the exports that a filter lets pass.
func mustNames(t testing.TB, c *Catalog, f Filter) string {
	t.Helper()
	var names []string
	for _, e := range mustExports(t, c, f) {
		names = append(names, e.Ref[lastSlash(e.Ref)+1:])
	}
	return strings.Join(names, " ")
}

// A dump is all that a catalog tells.
type dump struct {
	Exports []Export
	Places  []Place
	Causes  []Cause
	Events  map[string][]ledger.Line
	Windows map[Group][]Window
}

func mustDump(t testing.TB, c *Catalog) (d dump) {
	t.Helper()
	d.Exports, d.Events = mustExports(t, c, Filter{Phases: Phases}), map[string][]ledger.Line{}
	for p, err := range c.Places() {
		if err != nil {
			t.Fatal(err)
		}
		d.Places = append(d.Places, p)
	}
	for cause, err := range c.Causes(Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		d.Causes = append(d.Causes, cause)
	}
	for _, e := range d.Exports {
		var err error
		if d.Events[e.Key], err = c.Events(e.Key); err != nil {
			t.Fatal(err)
		}
	}
	d.Windows = map[Group][]Window{}
	for g, err := range c.Groups() {
		if err != nil {
			t.Fatal(err)
		}
		d.Windows[g] = mustWindows(t, c, g.Place, g.Name)
	}
	return d
}

// What lines of each kind do to an export, by what is asked of the catalog.
func TestPhases(t *testing.T) {
	accepted := func(l ledger.Line, hours int) ledger.Line {
		l.Kind, l.At, l.By, l.Reason = ledger.Accepted, begin.Add(time.Duration(hours)*time.Hour), "ada", "known"
		l.Bytes, l.Records, l.Bag = 0, 0, ""
		return l
	}
	ask, land, doubtful, fail := line(ledger.Asked, "p", "j", 1), landedLine("p", "j", 2, 7), landedLine("p", "j", 2, 7, "one", "two"), failedLine("p", "j", 2, "corrupt", "bad gzip")
	damage := line(ledger.Damaged, "p", "j", 3)
	damage.Problems = []string{"data/a has other bytes", "b is missing"}
	half := accepted(doubtful, 4)
	half.Doubts = half.Doubts[:1]
	for name, test := range map[string]struct {
		lines []ledger.Line
		want  string
	}{
		"asked":                         {[]ledger.Line{ask}, "asked  at 1"},
		"landed":                        {[]ledger.Line{ask, land}, "landed  at 2"},
		"failed":                        {[]ledger.Line{ask, fail}, "failed corrupt at 2: bad gzip (id-j)"},
		"failed and asked for again":    {[]ledger.Line{fail, line(ledger.Asked, "p", "j", 5)}, "asked  at 5"},
		"failed and accepted":           {[]ledger.Line{fail, accepted(fail, 4)}, "failed corrupt at 2: bad gzip (id-j), accepted"},
		"accepted, and failed again":    {[]ledger.Line{fail, accepted(fail, 4), failedLine("p", "j", 5, "corrupt", "bad gzip")}, "failed corrupt at 5: bad gzip (id-j)"},
		"cancelled":                     {[]ledger.Line{ask, line(ledger.Cancelled, "p", "j", 3)}, "cancelled cancelled at 3"},
		"damaged":                       {[]ledger.Line{land, damage}, "damaged damaged at 3: data/a has other bytes; b is missing"},
		"healed":                        {[]ledger.Line{land, damage, line(ledger.Healed, "p", "j", 4)}, "landed  at 2"},
		"absent":                        {[]ledger.Line{land, line(ledger.Absent, "p", "j", 3)}, "absent damaged at 3"},
		"absent, and in vain":           {[]ledger.Line{land, line(ledger.Absent, "p", "j", 3), line(ledger.Asked, "p", "j", 4), failedLine("p", "j", 5, "gone", "gone")}, "absent damaged at 3"},
		"absent, and landed again":      {[]ledger.Line{land, line(ledger.Absent, "p", "j", 3), landedLine("p", "j", 6, 7)}, "landed  at 6"},
		"restored":                      {[]ledger.Line{land, line(ledger.Absent, "p", "j", 3), line(ledger.Restored, "p", "j", 4)}, "landed  at 2"},
		"removed":                       {[]ledger.Line{land, line(ledger.Removed, "p", "j", 3)}, "removed  at 3"},
		"removed, and asked for":        {[]ledger.Line{land, line(ledger.Removed, "p", "j", 3), line(ledger.Asked, "p", "j", 4)}, "asked  at 4"},
		"doubts":                        {[]ledger.Line{doubtful}, "landed  at 2, 2 of 2 doubts"},
		"doubts, one of them accepted":  {[]ledger.Line{doubtful, half}, "landed  at 2, 1 of 2 doubts"},
		"doubts, accepted":              {[]ledger.Line{doubtful, accepted(doubtful, 4)}, "landed  at 2, 0 of 2 doubts, accepted"},
		"doubts, accepted and repaired": {[]ledger.Line{doubtful, accepted(doubtful, 4), damage, doubtful}, "landed  at 2, 0 of 2 doubts, accepted"},
		"an unknown kind":               {[]ledger.Line{land, line("notified", "p", "j", 9)}, "landed  at 2"},
	} {
		t.Run(name, func(t *testing.T) {
			a, dir := newArchive(t)
			mustAppend(t, a, test.lines...)
			c := mustOpen(t, a, dir)
			e, err := c.Export("sls/cn-hangzhou/p/j")
			if err != nil {
				t.Fatal(err)
			}
			got := fmt.Sprintf("%s %s at %v", e.Phase, e.Cause, e.When.Sub(begin).Hours())
			if e.Message != "" {
				got += ": " + e.Message
			}
			if e.RequestID != "" {
				got += " (" + e.RequestID + ")"
			}
			if len(e.Doubts) > 0 {
				got += fmt.Sprintf(", %d of %d doubts", e.Open, len(e.Doubts))
			}
			if e.Accepted != nil {
				got += ", accepted"
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			events, err := c.Events(e.Key)
			known := slices.DeleteFunc(slices.Clone(test.lines), func(l ledger.Line) bool { return l.Kind == "notified" })
			if len(events) != len(known) || err != nil {
				t.Errorf("%d events of %d lines: %v", len(events), len(known), err)
			}
		})
	}
}

func TestAnExportThatTheLedgerDoesNotKnow(t *testing.T) {
	a, dir := newArchive(t)
	if _, err := mustOpen(t, a, dir).Export("sls/cn-hangzhou/p/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestFilter(t *testing.T) {
	a, dir := newArchive(t)
	mustAppend(t, a, landedLine("p", "a", 1, 5), landedLine("p", "b", 2, 0, "empty"), landedLine("q", "c", 3, 50), line(ledger.Asked, "p", "d", 4),
		failedLine("q", "nightly-e", 5, "corrupt", "Bad GZIP"), line(ledger.Asked, "p", "f", 2), landedLine("p", "f", 6, ledger.Unknown), landedLine("p", "g", 7, 1), line(ledger.Removed, "p", "g", 8))
	c := mustOpen(t, a, dir)
	none := int64(0)
	for name, test := range map[string]struct {
		filter Filter
		want   string
	}{
		"all but what is removed": {Filter{}, "a b d f c nightly-e"},
		"a place":                 {Filter{Places: []string{"sls://cn-hangzhou/q/"}}, "c nightly-e"},
		"places":                  {Filter{Places: []string{"sls://cn-hangzhou/q/", "sls://cn-hangzhou/p/"}, Phases: []Phase{Landed}}, "a b f c"},
		"no place":                {Filter{Places: []string{"sls://cn-hangzhou/r/"}}, ""},
		"phases":                  {Filter{Phases: []Phase{Failed, Asked}}, "d nightly-e"},
		"removed":                 {Filter{Phases: []Phase{Removed}}, "g"},
		"cause":                   {Filter{Causes: []string{"corrupt"}}, "nightly-e"},
		"since":                   {Filter{Since: begin.Add(3 * time.Hour)}, "d f c nightly-e"},
		"asked":                   {Filter{Asked: begin.Add(3 * time.Hour)}, "d nightly-e"},
		"until":                   {Filter{Until: begin.Add(3 * time.Hour)}, "a b"},
		"doubts":                  {Filter{Doubts: true}, "b"},
		"prefix":                  {Filter{Prefix: "sls://cn-hangzhou/q/n"}, "nightly-e"},
		"key":                     {Filter{Key: "sls/cn-hangzhou/p/a"}, "a"},
		"match":                   {Filter{Match: "night*"}, "nightly-e"},
		"match of the name alone": {Filter{Match: "*p*"}, ""},
		"text of a message":       {Filter{Text: "bad gzip"}, "nightly-e"},
		"text of a reference":     {Filter{Text: "hangzhou/Q"}, "c nightly-e"},
		"many records":            {Filter{MinRecords: 6}, "c"},
		"no records":              {Filter{MaxRecords: &none}, "b"},
		"the newest":              {Filter{Order: ByWhen, Desc: true, Limit: 2}, "f nightly-e"},
		"the next page":           {Filter{Order: ByWhen, Desc: true, Limit: 2, Skip: 2}, "d c"},
		"the smallest":            {Filter{Order: ByRecords, Phases: []Phase{Landed}}, "f b a c"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := mustNames(t, c, test.filter); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			sum, err := c.Count(test.filter)
			if n := int64(len(strings.Fields(test.want))); test.filter.Limit == 0 && (sum.Exports != n || err != nil) {
				t.Errorf("counted %d of %d: %v", sum.Exports, n, err)
			}
		})
	}
}

// A place is told of by its last listing, and that it can't be listed is accepted by cause.
func TestPlaces(t *testing.T) {
	a, dir := newArchive(t)
	const ref = "sls://cn-hangzhou/p/"
	at := func(hours int, l ledger.Line) ledger.Line {
		l.Ref, l.At = ref, begin.Add(time.Duration(hours)*time.Hour)
		return l
	}
	listed := at(1, ledger.Line{Kind: ledger.Listed, Found: 12, New: 3, Missing: 1})
	denied := ledger.Line{Kind: ledger.Listed, Cause: "auth-denied", Message: "no", RequestID: "r", Profile: "team-p"}
	mustAppend(t, a, listed, landedLine("p", "a", 1, 5), landedLine("p", "b", 3, 1, "odd"), failedLine("p", "c", 2, "corrupt", "x"), at(4, denied), at(5, denied),
		at(6, ledger.Line{Kind: ledger.Accepted, Cause: "auth-denied", Reason: "leaves", By: "ada"}), at(7, ledger.Line{Kind: ledger.Rechecked, Checked: 2, Worst: "whole"}))
	c := mustOpen(t, a, dir)
	got := mustDump(t, c).Places
	want := []Place{{
		Name: ref, Profile: "team-p", Tried: begin.Add(5 * time.Hour), Listed: listed.At, Whole: Count{listed.At, 12, 3, 1},
		FailedSince: begin.Add(4 * time.Hour), Cause: "auth-denied", Message: "no", RequestID: "r", Accepted: &Acceptance{begin.Add(6 * time.Hour), "ada", "leaves"},
		Rechecked: []Recheck{{begin.Add(7 * time.Hour), "", 2, "whole"}},
		Phases:    map[Phase]Sum{Landed: {2, 60, 6}, Failed: {1, 0, 0}}, Doubts: Sum{1, 10, 1}, Settled: map[Phase]Sum{}, LastLanded: begin.Add(3 * time.Hour),
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	denied.Cause = "throttled"
	mustAppend(t, a, at(8, denied))
	if err := c.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p := mustDump(t, c).Places[0]; p.Accepted != nil || !p.FailedSince.Equal(begin.Add(8*time.Hour)) {
		t.Errorf("after another error: %+v", p)
	}
}

// What is taken into the ledger long after it landed is not new.
func TestWhatIsAdoptedLandedWhenItsReceiptSays(t *testing.T) {
	a, dir := newArchive(t)
	adopted := landedLine("p", "a", 1, 5)
	adopted.Kind, adopted.LandedAt = ledger.Adopted, begin.Add(-1000*time.Hour)
	mustAppend(t, a, adopted)
	c := mustOpen(t, a, dir)
	since, err := c.Count(Filter{Since: begin})
	before, errBefore := c.Count(Filter{Until: begin})
	if since.Exports != 0 || before.Exports != 1 || err != nil || errBefore != nil {
		t.Errorf("%d exports landed since it was adopted, and %d before: %v, %v", since.Exports, before.Exports, err, errBefore)
	}
}

// A listing of a part of a place takes nothing from what the last one of all has found, which
// takes the place of both.
func TestAPartOfAPlaceTellsOfItselfAlone(t *testing.T) {
	a, dir := newArchive(t)
	c := mustOpen(t, a, dir)
	at := func(n int) time.Time { return begin.Add(time.Duration(n) * time.Hour) }
	var none Count
	for n, step := range []struct {
		listed      ledger.Line
		whole, part Count
	}{
		{ledger.Line{Found: 2, Missing: 1, Partial: true}, none, Count{at(0), 2, 0, 1}},
		{ledger.Line{Found: 3, Partial: true}, none, Count{at(1), 3, 0, 0}},
		{ledger.Line{Found: 30, New: 6, Missing: 4}, Count{at(2), 30, 6, 4}, none},
		{ledger.Line{Found: 9, Missing: 5, Partial: true}, Count{at(2), 30, 6, 4}, Count{at(3), 9, 0, 5}},
		{ledger.Line{Found: 3, Partial: true}, Count{at(2), 30, 6, 4}, Count{at(4), 3, 0, 0}},
		{ledger.Line{Found: 30}, Count{at(5), 30, 0, 0}, none},
	} {
		step.listed.Kind, step.listed.Ref, step.listed.At = ledger.Listed, "sls://cn-hangzhou/p/", at(n)
		mustAppend(t, a, step.listed)
		if err := c.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		p := mustDump(t, c).Places[0]
		if diff := cmp.Diff([]Count{step.whole, step.part}, []Count{p.Whole, p.Part}); diff != "" || !p.Listed.Equal(at(n)) {
			t.Errorf("step %d: listed at %v\n%s", n, p.Listed, diff)
		}
	}
}

// The doubts of a witness are those of its last count, beside those of the landing.
func TestTheDoubtsOfAWitnessAreThoseOfItsLastCount(t *testing.T) {
	a, dir := newArchive(t)
	landed := landedLine("p", "a", 1, 5)
	landed.Doubts = []string{"odd"}
	count := func(hour int, doubts ...string) ledger.Line {
		l := line(ledger.Witnessed, "p", "a", hour)
		l.Doubts = doubts
		return l
	}
	c := mustOpen(t, a, dir)
	for _, step := range []struct {
		line ledger.Line
		want []string
	}{
		{landed, []string{"odd"}},
		{count(2, "late-rows: 9 of 10"), []string{"odd", "late-rows: 9 of 10"}},
		{count(3, "witness-mismatch: 9 of 11"), []string{"odd", "witness-mismatch: 9 of 11"}},
		{count(4), []string{"odd"}},
		{count(5, "late-rows: 9 of 10"), []string{"odd", "late-rows: 9 of 10"}},
		{landed, []string{"odd"}},
	} {
		mustAppend(t, a, step.line)
		if err := c.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if e, err := c.Export(landed.Key); err != nil || !slices.Equal(e.Doubts, step.want) || e.Open != len(step.want) || e.Phase != Landed {
			t.Errorf("got %+v, %v, want the doubts %q", e, err, step.want)
		}
	}
}

// However a catalog came to where it is, it tells the same: line by line, from the
// beginning, in memory, and by an overlay.
func TestAllWaysLeadToTheSame(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	a, dir := newArchive(t)
	kinds := []ledger.Kind{ledger.Asked, ledger.Landed, ledger.Failed, ledger.Cancelled, ledger.Damaged, ledger.Absent, ledger.Healed, ledger.Restored, ledger.Removed, ledger.Accepted, ledger.Listed, ledger.Witnessed}
	c := mustOpen(t, a, dir)
	hours := 0
	for range 20 {
		for range random.IntN(12) {
			hours++
			l := line(kinds[random.IntN(len(kinds))], fmt.Sprint("p", random.IntN(3)), fmt.Sprint("j", random.IntN(4)), hours)
			switch l.Kind {
			case ledger.Landed, ledger.Restored:
				l.Bytes, l.Records = random.Int64N(1000), random.Int64N(100)-1
				if random.IntN(2) == 0 {
					l.Doubts = []string{"odd"}
				}
				if from := random.Int64N(1000); random.IntN(3) > 0 {
					l.Window = &ledger.Window{Group: fmt.Sprint("g", random.IntN(3)), From: from, To: from + 1 + random.Int64N(100)}
				}
			case ledger.Failed:
				l.Cause, l.Message = []string{"corrupt", "network"}[random.IntN(2)], "message"
			case ledger.Accepted:
				l.Reason, l.Doubts = "known", []string{"odd"}
				if random.IntN(2) == 0 {
					l.Ref, l.Key, l.Window = l.Ref[:lastSlash(l.Ref)+1], "", &ledger.Window{From: 5, To: int64(hours) + 6}
				}
			case ledger.Witnessed:
				if random.IntN(2) == 0 {
					l.Doubts = []string{"late-rows: 9 of 10"}
				}
			case ledger.Listed:
				l.Ref, l.Key = l.Ref[:lastSlash(l.Ref)+1], ""
			}
			mustAppend(t, a, l)
		}
		if err := c.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := mustDump(t, c)
		for name, other := range map[string]*Catalog{"from the beginning": mustOpen(t, a, t.TempDir()), "in memory": mustOpen(t, a, "")} {
			if diff := cmp.Diff(want, mustDump(t, other), cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("%s: %s", name, diff)
			}
		}
		byPhase := map[Phase]Sum{}
		for _, p := range want.Places {
			for phase, sum := range p.Phases {
				s := byPhase[phase]
				s.add(sum, 1)
				byPhase[phase] = s
			}
		}
		for _, phase := range Phases {
			if sum, err := c.Count(Filter{Phases: []Phase{phase}}); sum != byPhase[phase] || err != nil {
				t.Fatalf("%s: the sums of places are %+v, and there are %+v: %v", phase, byPhase[phase], sum, err)
			}
		}
	}
}

// What nobody could write to the ledger or to the file of the catalog counts all the same.
func TestOverlay(t *testing.T) {
	a, dir := newArchive(t)
	mustAppend(t, a, landedLine("p", "a", 1, 5), line(ledger.Asked, "p", "b", 2))
	c := mustOpen(t, a, dir)
	holder := mustOpen(t, a, dir)
	if err := holder.exec("ROLLBACK; BEGIN IMMEDIATE"); err != nil { // and stands still
		t.Fatal(err)
	}
	b, other := landedLine("p", "b", 3, 6), landedLine("q", "c", 4, 7)
	b.Window, other.Window = &ledger.Window{Group: "g", From: 1, To: 2}, &ledger.Window{Group: "h", From: 1, To: 2}
	mustAppend(t, a, b, other)
	side := filepath.Join(a.Path(".ledger"), "side-0123456789abcdef.jsonl")
	text := `{"schema":"tallyman.ledger/v1","at":"2026-11-01T06:00:00.000Z","kind":"absent","ref":"sls://cn-hangzhou/p/a","key":"sls/cn-hangzhou/p/a"}` + "\n"
	if err := os.WriteFile(side, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := c.conn.BusyTimeout(time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if err := c.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := mustDump(t, c)
	if got.Exports[0].Phase != Absent || got.Exports[1].Phase != Landed || len(got.Exports) != 3 || len(got.Events["sls/cn-hangzhou/p/a"]) != 2 {
		t.Errorf("%+v", got)
	}
	if diff := cmp.Diff(mustDump(t, mustOpen(t, a, "")), got, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	if err := holder.exec("ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := c.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, mustDump(t, c), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("once it can be written: %s", diff)
	}
}

func TestAReadEndsWithItsContext(t *testing.T) {
	a, dir := newArchive(t)
	mustAppend(t, a, landedLine("p", "a", 1, 5))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, a, Options{Dir: dir}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Until when what is to be fetched is there is known from when it was asked for or found ready
// until it has landed or was given up. Of several times the latest counts, since it is there
// at least so long.
func TestUntilWhenAnExportIsThere(t *testing.T) {
	a, dir := newArchive(t)
	ending := func(kind ledger.Kind, job string, hours, ends int) ledger.Line {
		l := line(kind, "p", job, hours)
		l.Ends = begin.Add(time.Duration(ends) * time.Hour)
		return l
	}
	mustAppend(t, a, ending(ledger.Asked, "url", 0, 9), line(ledger.Asked, "p", "later", 0), line(ledger.Asked, "p", "unknown", 0),
		line(ledger.Asked, "p", "landed", 0), line(ledger.Asked, "p", "failed", 0), line(ledger.Asked, "p", "again", 0))
	mustAppend(t, a, ending(ledger.Ready, "later", 1, 20), ending(ledger.Ready, "later", 2, 30), ending(ledger.Ready, "later", 3, 10),
		ending(ledger.Ready, "landed", 1, 5), ending(ledger.Ready, "failed", 1, 5), ending(ledger.Ready, "again", 1, 50))
	mustAppend(t, a, landedLine("p", "landed", 4, 1), failedLine("p", "failed", 4, "job-expired", "gone"), ending(ledger.Ready, "landed", 5, 9), line(ledger.Asked, "p", "again", 6))
	got := map[string][2]time.Time{}
	c := mustOpen(t, a, dir)
	for _, e := range mustExports(t, c, Filter{}) {
		if !e.Ends.IsZero() {
			got[e.Ref[lastSlash(e.Ref)+1:]] = [2]time.Time{e.Ready, e.Ends}
		}
	}
	at := func(ready, ends int) [2]time.Time {
		return [2]time.Time{begin.Add(time.Duration(ready) * time.Hour), begin.Add(time.Duration(ends) * time.Hour)}
	}
	if diff := cmp.Diff(map[string][2]time.Time{"url": at(0, 9), "later": at(1, 30), "again": at(1, 50)}, got); diff != "" {
		t.Error(diff)
	}
	if got := mustNames(t, c, Filter{Ending: true, Order: ByEnd}); got != "url later again" {
		t.Errorf("in the order of their ends: %s", got)
	}
}
