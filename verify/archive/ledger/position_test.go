package ledger

import (
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// mustReadSince returns what Since yields, and the Position of the last line.
func mustReadSince(t *testing.T, l *Ledger, from Position) (lines []Line, last Position) {
	t.Helper()
	for line, err := range l.Since(from) {
		if err != nil {
			t.Fatal(err)
		}
		lines, last = append(lines, line.Line), line.Position()
		at, err := l.LineAt(last.File, last.At)
		if diff := cmp.Diff(line.Line, at); diff != "" || err != nil {
			t.Fatalf("the line at %+v: %v %s", last, err, diff)
		}
	}
	return lines, last
}

// A reader that keeps its place reads each line once, over the end of a month.
func TestSinceReadsWhatWasAppended(t *testing.T) {
	l := newLedger(t)
	if lines, _ := mustReadSince(t, l, Position{}); len(lines) > 0 {
		t.Fatalf("%d lines of no ledger", len(lines))
	}
	mustAppend(t, l, landed(1), landed(2))
	lines, at := mustReadSince(t, l, Position{})
	for n := 3; n < 6; n++ {
		next := landed(n)
		next.At = lines[0].At.AddDate(0, n, 0) // maybe too far ahead to be followed
		mustAppend(t, l, next)
		more, last := mustReadSince(t, l, at)
		if len(more) != 1 || more[0].Key != next.Key || last.Seq != int64(n) {
			t.Fatalf("behind line %d: %+v, to %+v", n-1, more, last)
		}
		lines, at = append(lines, more...), last
		if again, _ := mustReadSince(t, l, at); len(again) > 0 {
			t.Fatalf("line %d is read twice", n)
		}
	}
	if diff := cmp.Diff(mustRead(t, l), lines); diff != "" {
		t.Error(diff)
	}
	if err := l.Sync(at); err != nil {
		t.Error(err)
	}
}

// The lines of one kind come in order, over the end of a month, each with its place.
func TestOfKindReadsOneKind(t *testing.T) {
	l := newLedger(t)
	named := landed(3)
	named.Ref = `sls://r/p/","kind":"rechecked"`
	later := Line{Kind: Rechecked, Part: "2/7"}
	mustAppend(t, l, landed(1), Line{Kind: Rechecked, Part: "1/7"}, named)
	later.At = mustRead(t, l)[0].At.AddDate(0, 1, 0)
	mustAppend(t, l, later, landed(4))
	var parts []string
	for line, err := range l.OfKind(Rechecked) {
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, line.Part)
		behind, _ := mustReadSince(t, l, line.Position())
		if all := mustRead(t, l); len(behind) != len(all)-int(line.Seq) {
			t.Errorf("%d lines are behind line %d of %d", len(behind), line.Seq, len(all))
		}
	}
	if diff := cmp.Diff([]string{"1/7", "2/7"}, parts); diff != "" {
		t.Error(diff)
	}
	for range l.OfKind(Landed) {
		break
	}
	for line, err := range l.OfKind(Damaged) {
		t.Error(line, err)
	}
}

// A place that was kept is of no use once its line is another, or gone.
func TestSinceFailsIfItsLineMoved(t *testing.T) {
	for name, change := range map[string]func(text []byte) []byte{
		"changed": func(text []byte) []byte { text[len(text)-80] ^= 1; return text },
		"cut":     func(text []byte) []byte { return text[:slices.Index(text, '\n')+1] },
		"empty":   func([]byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLedger(t)
			mustAppend(t, l, landed(1), landed(2))
			_, at := mustReadSince(t, l, Position{})
			text, err := os.ReadFile(l.path(at.File))
			if err == nil {
				err = os.WriteFile(l.path(at.File), change(text), 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
			for line, err := range l.Since(at) {
				if !errors.Is(err, ErrMoved) {
					t.Errorf("%+v, %v", line, err)
				}
				return
			}
			t.Error("no error")
		})
	}
}

// Lines of side files count before a writer takes them in, and then no more.
func TestWaitingLinesAreToldUntilTheyAreTakenIn(t *testing.T) {
	l := newLedger(t)
	mustAppend(t, l, landed(1))
	e, err := newEntry(&Line{Kind: Absent, Key: "a"})
	if err == nil {
		_, err = l.writeSide([]entry{e})
	}
	if err != nil {
		t.Fatal(err)
	}
	if lines, err := l.Waiting(); len(lines) != 1 || lines[0].Key != "a" || err != nil {
		t.Errorf("waiting: %+v, %v", lines, err)
	}
	if lines, _ := mustReadSince(t, l, Position{}); len(lines) != 1 {
		t.Errorf("in the files: %+v", lines)
	}
	mustAppend(t, l, landed(2))
	if lines, err := l.Waiting(); len(lines) > 0 || err != nil {
		t.Errorf("still waiting: %+v, %v", lines, err)
	}
	if lines, _ := mustReadSince(t, l, Position{}); len(lines) != 3 {
		t.Errorf("in the files then: %+v", lines)
	}
}
