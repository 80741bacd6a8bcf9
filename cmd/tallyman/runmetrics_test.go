package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tallyman/fetch/sandbox"
	"tallyman/verify/archive"
	"tallyman/verify/archive/ledger"
)

// ofRuns are the metrics that count what runs did and what came of it.
var ofRuns = []string{
	"tallyman_fetch_bytes_total", "tallyman_fetches_total", "tallyman_failures_total", "tallyman_landing_seconds_count",
	"tallyman_exports", "tallyman_exports_with_doubts", "tallyman_failed_exports", "tallyman_landed_bytes", "tallyman_landed_records",
}

// scrape are the metrics ofRuns at an address that are not zero, of whatever place, provider or cause.
func scrape(t *testing.T, address string) map[string]float64 {
	t.Helper()
	all := map[string]float64{}
	for line := range strings.Lines(getText(t, "http://"+address+"/metrics")) {
		sample, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		name, _, _ := strings.Cut(sample, "{")
		if !slices.Contains(ofRuns, name) {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatal(err)
		}
		if n != 0 {
			all[sample] = n
		}
	}
	return all
}

// toldBy are the metrics ofRuns that a ledger tells. What was received is not in it.
func toldBy(t *testing.T, store *archive.Archive) map[string]float64 {
	t.Helper()
	told, last := map[string]float64{}, map[string]ledger.Placed{}
	for line, err := range store.Ledger().Since(ledger.Position{}) {
		if err != nil {
			t.Fatal(err)
		}
		result := string(line.Kind)
		switch line.Kind {
		case ledger.Landed:
			if len(line.Doubts) > 0 {
				result = "doubts"
			}
			told[`tallyman_landing_seconds_count{provider="sls"}`]++
		case ledger.Failed:
			told[fmt.Sprintf(`tallyman_failures_total{cause=%q,provider="sls"}`, line.Cause)]++
		default:
			continue
		}
		told[fmt.Sprintf(`tallyman_fetches_total{provider="sls",result=%q}`, result)]++
		last[line.Ref] = line
	}
	place := `place="sls://cn-hangzhou/` + testProject + `/"`
	for _, line := range last { // which counts for the archive as it is now
		told[fmt.Sprintf(`tallyman_exports{%s,state=%q}`, place, line.Kind)]++
		if line.Kind == ledger.Failed {
			told[fmt.Sprintf(`tallyman_failed_exports{cause=%q}`, line.Cause)]++
			continue
		}
		told["tallyman_landed_bytes{"+place+"}"] += float64(line.Bytes)
		told["tallyman_landed_records{"+place+"}"] += float64(line.Records)
		told["tallyman_exports_with_doubts{"+place+"}"] += min(1, float64(len(line.Doubts)))
	}
	return told
}

// After a run, in which exports landed, landed with doubts, were received twice, failed, and
// landed after they had failed, what its worker has counted and what is measured of the
// archive are what the ledger tells, and nothing else.
func TestTheMetricsOfARunAreThoseOfItsLedger(t *testing.T) {
	t.Parallel()
	cloud := testCloud()
	flipped := sandbox.File{Rows: 50}
	flipped.Faults.Flip = sandbox.Flip{At: 99, Times: 1}
	for name, job := range map[string]sandbox.Job{
		"one": {File: sandbox.File{Rows: 10}}, "two": {File: sandbox.File{Rows: 20, Codec: "zstd"}}, "flipped": {File: flipped},
		"doubted": {File: sandbox.File{Rows: 30}, LogCount: new(int64(35))}, "noticed": {File: sandbox.File{Rows: 40}, Notice: "see the log"},
		"failed": {Statuses: []string{sandbox.JobFailed}, Error: "the query timed out"}, "mended": {Statuses: []string{sandbox.JobFailed}, Error: "the query timed out"},
		"gone": {File: sandbox.File{Rows: 10, Gone: true}},
	} {
		job.Name = name
		cloud.AddJob(testProject, job)
	}
	q := newCluster(t, cloud)
	address := freeAddress(t)
	w := q.start(t, "worker", "--attempts", "2", "--metrics-listen", address)
	q.enqueue(t, "one", "two", "flipped", "doubted", "noticed", "failed", "mended", "gone", "nobody", "one")
	waitFor(t, "all has ended", func() bool { return strings.Contains(q.status(t), "\n5 landed (2 with doubts), 4 failed") })
	cloud.AddJob(testProject, sandbox.Job{Name: "mended", File: sandbox.File{Rows: 60}})
	q.command(t, "retry", strings.TrimSpace(jobRefs("mended"))).runs(t, 0)
	waitFor(t, "the one that is mended", func() bool { return strings.Contains(q.status(t), "\n6 landed (2 with doubts), 3 failed") })

	store, err := archive.OpenExisting(q.archive)
	if err != nil {
		t.Fatal(err)
	}
	want, received := toldBy(t, store), cloud.Counts()
	want[`tallyman_fetch_bytes_total{provider="sls"}`] = float64(received.Bytes)
	if n := received.Jobs[testProject+"/flipped"].Requests; n != 2 {
		t.Errorf("the file that was damaged on its way was received %d times", n)
	}
	// The archive is read every few seconds, and an end is counted after its line is written.
	got := scrape(t, address)
	for end := time.Now().Add(time.Minute); !maps.Equal(got, want) && time.Now().Before(end); got = scrape(t, address) {
		time.Sleep(100 * time.Millisecond)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	w.Process.Signal(syscall.SIGTERM)
	w.exits(t, 0)
}
