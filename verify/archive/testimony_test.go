package archive

import (
	"strings"
	"testing"
	"time"

	"tallyman/verify"
	"tallyman/verify/archive/ledger"
)

// A number that is explained is no doubt, and one that is not is never explained away.
func TestATestimonyIsJudgedByWhatExplainsIt(t *testing.T) {
	const from, to, unknown = 1_767_312_000, 1_767_315_600, verify.Unknown
	end := time.Unix(to, 0)
	week := 7 * 24 * time.Hour
	for _, c := range []struct {
		name string
		t    Testimony
		want Verdict
		text string
	}{
		{"the same", Testimony{Landed: 10, Counted: 10, Including: unknown}, Agrees, "10 records, as the source counts in [from, to)"},
		{"the same as with the second behind it", Testimony{Landed: 11, Counted: 10, Including: 11}, Agrees, "11 records, as the source counts in [from, to]"},
		{"none", Testimony{}, Agrees, "0 records, as"},
		{"fewer at once", Testimony{Landed: 9, Counted: 10, Including: 10, At: end}, LateRows, "9 records landed, and the source counts 10 records"},
		{"fewer within a week", Testimony{Landed: 9, Counted: 10, Including: 10, At: end.Add(week - time.Second)}, LateRows, "9 records"},
		{"fewer after a week", Testimony{Landed: 9, Counted: 10, Including: 10, At: end.Add(week)}, WitnessMismatch, "9 records landed, and the source counts 10 records"},
		{"fewer than with the second behind it, and more than without", Testimony{Landed: 10, Counted: 9, Including: 11, At: end.Add(week)}, WitnessMismatch, ""},
		{"fewer, of a part", Testimony{Landed: 9, Counted: 10, Including: 10, At: end.Add(week), Since: end, Gone: true}, WitnessMismatch, ""},
		{"more, of all", Testimony{Landed: 11, Counted: 10, Including: 10, At: end}, WitnessMismatch, "11 records landed, and the source counts 10 records"},
		{"more, of what the source keeps", Testimony{Landed: 11, Counted: 10, Including: 10, At: end, Since: time.Unix(from, 0)}, WitnessMismatch, ""},
		{"more than the source keeps", Testimony{Landed: 11, Counted: 10, Including: 10, Earlier: unknown, At: end, Since: time.Unix(from+1, 0), Gone: true, Why: "7 days"}, NoLonger, "11 records landed, and the source counts 10 records: 7 days"},
		{"more than the index has", Testimony{Landed: 11, Counted: 10, Including: 10, Earlier: unknown, At: end, Since: end, Why: "index"}, LowerBound, ": index"},
		{"as many as it counted before", Testimony{Landed: 11, Counted: 5, Including: 5, Earlier: 11, At: end, Since: end, Gone: true}, NoLonger, ""},
		{"more than it ever counted", Testimony{Landed: 11, Counted: 10, Including: 10, Earlier: 10, At: end, Since: end, Gone: true}, WitnessMismatch, ""},
		{"records that can't be counted here", Testimony{Landed: unknown, Counted: 10}, NotCountable, "the records that landed can't be counted"},
		{"or there", Testimony{Landed: 10, Counted: unknown, Why: "SQL"}, NotCountable, "SQL"},
	} {
		c.t.Window = ledger.Window{Group: "access *", From: from, To: to}
		got, text := c.t.Judge()
		if got != c.want || !strings.Contains(text, c.text) || got.IsDoubt() != (got == LateRows || got == WitnessMismatch) {
			t.Errorf("%s: got %s, %q, want %s, %q", c.name, got, text, c.want, c.text)
		}
	}
}

func TestTestimoniesAreLinesOfTheLedger(t *testing.T) {
	a, err := Open(t.TempDir(), "", SiteEmpty)
	if err != nil {
		t.Fatal(err)
	}
	first := Testimony{Reference: "sls://r/p/j", Key: "sls/r/p/j", Window: ledger.Window{Group: "access *", From: 1, To: 2}, Landed: 9, Counted: 10, Including: 10, At: time.Unix(2, 0), RequestID: "R1"}
	second := first
	second.Landed, second.Counted = 10, 10
	var lines []ledger.Line
	for _, testimony := range []Testimony{first, second} {
		if err := a.Testify(testimony); err != nil {
			t.Fatal(err)
		}
		last, err := a.Ledger().Last(ledger.Witnessed, testimony.Reference)
		if err != nil || last == nil {
			t.Fatal(last, err)
		}
		lines = append(lines, *last)
	}
	doubt := lines[0].Doubts
	if l := lines[0]; l.Kind != ledger.Witnessed || l.Counted != 10 || l.Records != 9 || l.Verdict != "late-rows" || len(doubt) != 1 || !IsWitnessDoubt(doubt[0]) || l.RequestID != "R1" || *l.Window != first.Window {
		t.Errorf("got %+v", l)
	}
	if l := lines[1]; l.Verdict != "agrees" || len(l.Doubts) > 0 {
		t.Errorf("got %+v", l)
	}
	if last, most := EarlierCounts(lines); most != 10 || last != &lines[1] {
		t.Errorf("got %d, %v", most, last)
	}
	landed := append(lines, ledger.Line{Kind: ledger.Landed})
	if last, most := EarlierCounts(landed); most != verify.Unknown || last != nil {
		t.Errorf("counts of before it landed count for nothing: got %d, %v", most, last)
	}
	for _, verdict := range []Verdict{NoLonger, LowerBound} {
		partial := []ledger.Line{{Kind: ledger.Landed}, {Kind: ledger.Witnessed, Counted: 5, Verdict: string(verdict)}}
		last, most := EarlierCounts(partial)
		again := first
		again.Landed, again.Counted, again.Including, again.Earlier = 9, 5, 5, most
		again.Since, again.Gone = time.Unix(first.Window.To, 0), verdict == NoLonger
		if got, _ := again.Judge(); got != verdict || last != &partial[1] {
			t.Errorf("a count that was %s before is %s", verdict, got)
		}
	}
}

// A source is asked once the window is over, and once more when rows can't be late any more,
// unless that is known already or will never be.
func TestWhenACountIsDue(t *testing.T) {
	end := time.Date(2026, 11, 1, 1, 0, 0, 0, time.UTC)
	window := ledger.Window{Group: "access *", From: end.Add(-time.Hour).Unix(), To: end.Unix()}
	counted := func(after time.Duration, v Verdict) *ledger.Line {
		return &ledger.Line{Kind: ledger.Witnessed, At: end.Add(after), Verdict: string(v)}
	}
	const day = 24 * time.Hour
	for _, tt := range []struct {
		name string
		last *ledger.Line
		want time.Time
	}{
		{"never", nil, end},
		{"at once", counted(time.Minute, Agrees), end.Add(8 * day)},
		{"in doubt", counted(6*day, LateRows), end.Add(8 * day)},
		{"late", counted(7*day, WitnessMismatch), time.Time{}},
		{"never countable", counted(time.Minute, NotCountable), time.Time{}},
	} {
		if got := CountDue(window, tt.last); !got.Equal(tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}
