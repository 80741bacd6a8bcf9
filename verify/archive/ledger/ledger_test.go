package ledger

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVar); dir != "" {
		if err := child(dir, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if _, err := os.Stat("/dev/shm"); err == nil && os.Getenv("TMPDIR") == "" { // the tests make thousands of fsyncs
		os.Setenv("TMPDIR", "/dev/shm")
	}
	goleak.VerifyTestMain(m)
}

var genesis = sha256.Sum256([]byte("an archive's ID"))

func newLedger(t testing.TB) *Ledger {
	return Open(filepath.Join(t.TempDir(), ".ledger"), genesis, nil)
}

func landed(n int) Line {
	key := fmt.Sprintf("sls/cn-hangzhou/project/job-%d", n)
	return Line{Kind: Landed, Ref: "sls://cn-hangzhou/project/job", Key: key, Bag: fmt.Sprintf("%064x", n), Bytes: int64(n), Records: Unknown}
}

func mustAppend(t testing.TB, l *Ledger, lines ...Line) {
	t.Helper()
	if err := l.Append(lines...); err != nil {
		t.Fatal(err)
	}
}

// mustRead reads all lines, and fails the test if the ledger is not whole.
func mustRead(t testing.TB, l *Ledger) (lines []Line) {
	t.Helper()
	for line, err := range l.All() {
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	return lines
}

// event is a line without what Append sets.
func event(line Line) Line {
	line.Schema, line.Seq, line.Prev = "", 0, ""
	line.At = line.At.Truncate(0)
	return line
}

func TestLinesComeBackAsTheyWereAppended(t *testing.T) {
	l := newLedger(t)
	var want []Line
	for n := range 3 {
		want = append(want, landed(n))
	}
	want = append(want, Line{Kind: Asked, Ref: "sls://<a>&b", Key: "a/ü\"\\", Profile: "p", Wait: "24h0m0s", Options: []byte(`{"a":1}`)},
		Line{Kind: Adopted, Through: true}, Line{Kind: "later", Key: "k"},
		Line{Kind: Listed, Ref: "sls://r/p/", Profile: "p", Found: 3, New: 2, Missing: 1, Partial: true}, Line{Kind: Listed, Ref: "sls://r/p/", Cause: "tls", Message: "m", RequestID: "r"},
		Line{Kind: Accepted, Ref: "sls://r/p/j", Key: "sls/r/p/j", Doubts: []string{"d"}, Reason: "so", By: "ann"},
		Line{Kind: Removed, Ref: "sls://r/p/j", Key: "sls/r/p/j", Reason: "so", By: "ann", Deleted: true},
		Line{Kind: Witnessed, Ref: "sls://r/p/j", Key: "sls/r/p/j", Records: 9, Window: &Window{Group: "g", From: 1, To: 2}, Counted: 10, Verdict: "late-rows", Doubts: []string{"late-rows: d"}, Message: "m", RequestID: "r"},
		Line{Kind: Witnessed, Key: "k", Verdict: "agrees"}, Line{Kind: Created, Ref: "sls://r/p/j", Key: "k"}, Line{Kind: Deleted, Ref: "sls://r/p/j", Key: "k"},
		Line{Kind: Ready, Ref: "sls://r/p/j", Key: "k", Ends: time.Date(2026, 12, 3, 8, 0, 0, 0, time.UTC)},
		Line{Kind: Rechecked, Part: "1/7", Checked: 9, Worst: "whole"},
		Line{Kind: Notified, Ref: "ops", By: "random", Sent: true, Worst: "wrong", Message: "1 failed", Told: []string{"a", "b"}}, Line{Kind: Notified, Ref: "ops", By: "r", Day: "2026-12-02"})
	mustAppend(t, l, want[0])
	mustAppend(t, l, want[1:]...)
	got := mustRead(t, l)
	for i := range got {
		if got[i].Seq != int64(i+1) || got[i].At.IsZero() || got[i].Schema != Schema {
			t.Errorf("line %d is %+v", i, got[i])
		}
		got[i] = event(got[i])
		got[i].At = want[i].At
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
