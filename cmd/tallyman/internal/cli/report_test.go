package cli

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"tallyman/fetch"
	"tallyman/verify/archive"
)

// newTestReport returns a report, and what it prints.
func newTestReport(t *testing.T, output Output) (report *Report, stdout, stderr *bytes.Buffer) {
	t.Helper()
	store, err := archive.Open(t.TempDir(), "", archive.SiteEmpty)
	if err != nil {
		t.Fatal(err)
	}
	output.Hint = func(string, error) string { return "" }
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	return NewReport(stdout, stderr, output, store), stdout, stderr
}

func testRef(t *testing.T, name string) fetch.Ref {
	t.Helper()
	ref, err := fetch.ParseRef("sls://r/p/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func testReceipt(t *testing.T, name string, landed time.Time, doubts ...string) *archive.Receipt {
	t.Helper()
	ref := testRef(t, name)
	return &archive.Receipt{Reference: ref.String(), Key: ref.Key(), Landed: landed, Records: -1, Files: 1, Doubts: doubts}
}

// What landed before is told from what has landed now, in its line and in the sums;
// with -q both are paths.
func TestWhatLandedBeforeIsToldFromWhatLandedNow(t *testing.T) {
	t.Parallel()
	now := time.Now()
	day := now.AddDate(-1, 0, 0)
	for _, quiet := range []bool{false, true} {
		report, stdout, stderr := newTestReport(t, Output{Quiet: quiet})
		report.LandedBefore(testRef(t, "old"), testReceipt(t, "old", day, "some doubt"), nil)
		report.LandedBefore(testRef(t, "today"), testReceipt(t, "today", now), nil)
		report.End(testRef(t, "new"), testReceipt(t, "new", now), nil)
		_ = report.Exit()
		lines := strings.Split(strings.TrimSpace(stdout.String()), "\n")
		for i, want := range []string{"  (before, on " + day.Format("2 Jan 2006") + ")", "  (before, on " + now.Format("2 Jan") + ")", ""} {
			begin, path := "landed  sls://r/p/", report.archive.Path("sls/r/p/"+[]string{"old", "today", "new"}[i])
			if quiet {
				begin, want = path, ""
			}
			if !strings.HasPrefix(lines[i], begin) || !strings.HasSuffix(lines[i], path+want) {
				t.Errorf("quiet %v: %q, want %q … %q", quiet, lines[i], begin, path+want)
			}
		}
		sums := "3 landed (2 before, 1 with doubts), 0 failed, 0 not ready\n"
		if !quiet && !strings.HasSuffix(stderr.String(), sums) {
			t.Errorf("%q, want %q", stderr, sums)
		}
	}
}

// What an interruption left is counted by the word that status has for it, and
// what was not begun yet is not.
func TestTheSumsOfAnInterruptedCallCountAll(t *testing.T) {
	t.Parallel()
	report, _, stderr := newTestReport(t, Output{})
	report.End(testRef(t, "landed"), testReceipt(t, "landed", time.Now()), nil)
	report.End(testRef(t, "transfers"), nil, context.Canceled)
	report.End(testRef(t, "waits"), nil, fetch.ErrDrained)
	report.End(testRef(t, "slow"), nil, &fetch.NotReadyError{Status: "RUNNING"})
	report.End(testRef(t, "broken"), nil, errors.New("broken"))
	report.Reject(context.Canceled)
	err := report.Exit()
	if want := "1 landed, 2 idle, 1 failed, 1 not ready\ntallyman: interrupted\n"; !strings.HasSuffix(stderr.String(), want) {
		t.Errorf("%q, want %q", stderr, want)
	}
	if err != ExitError(130) {
		t.Error(err)
	}
}
