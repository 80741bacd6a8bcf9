package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"tallyman/cmd/tallyman/internal/config"
	"tallyman/fetch"
	"tallyman/fetch/sandbox"
)

// bulkFaults are jobs that fail, by their cause.
var bulkFaults = map[string]sandbox.Job{
	"job-failed":        {Statuses: []string{sandbox.JobFailed}, Error: "oops"},
	"checksum-mismatch": withFaults(sandbox.Faults{Flip: sandbox.Flip{At: 99, Times: -1}}),
	"corrupt":           {File: sandbox.File{Body: []byte("\x28\xb5\x2f\xfd, which is no frame")}},
	"not-found":         {File: sandbox.File{Rows: 10, Gone: true}},
	"host-refused":      {FilePath: "https://elsewhere.example/export.csv?Signature=x"},
	"truncated":         {FileSize: new(int64(1 << 20)), File: sandbox.File{Rows: 10}},
}

var bulkJobs = flag.Int("bulk", 300, "how many exports are fetched by one command, or enqueued by several at once")

// bulkEach is how many fail by each cause: a hundredth of all, in six ways.
func bulkEach() int { return max(2, *bulkJobs/600) }

// bulk adds the jobs to a cloud and returns their references. Those that fail
// are spread among the others.
func bulk(cloud *sandbox.Cloud) (refs []string) {
	body := sandbox.Generate(2, "csv", 1)
	add := func(name string, job sandbox.Job) {
		job.Name = name
		cloud.AddJob(testProject, job)
		refs = append(refs, "sls://cn-hangzhou/"+testProject+"/"+name)
	}
	for cause, job := range bulkFaults {
		for i := range bulkEach() {
			add(fmt.Sprintf("%s-%d", cause, i), job)
		}
	}
	for i := len(refs); i < *bulkJobs; i++ {
		add(fmt.Sprintf("good-%d", i), sandbox.Job{File: sandbox.File{Rows: 2, Body: body}})
	}
	slices.Sort(refs) // not as they fail
	return refs
}

func newCloud(t *testing.T) (cloud *sandbox.Cloud, endpoint string) {
	t.Helper()
	cloud = sandbox.New(sandbox.Options{AccessKeyID: accessKeyID, AccessKeySecret: accessKeySecret})
	cloud.AddProject(testProject)
	endpoint, stop, err := cloud.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return cloud, endpoint
}

// fetchList fetches from standard input.
func fetchList(t *testing.T, endpoint, archive string, args ...string) *process {
	t.Helper()
	p := command(t, append([]string{"fetch", "-f", "-", "--archive", archive}, args...)...)
	p.Env = append(p.Env, "TALLYMAN_ENDPOINT_SLS="+endpoint, "TALLYMAN_ALLOW_HOST=127.0.0.1")
	return p
}

func TestOfManyExportsSomeFailAndOnlyTheyAreTriedAgain(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a while")
	}
	t.Parallel()
	cloud, endpoint := newCloud(t)
	refs, archive := bulk(cloud), filepath.Join(t.TempDir(), "archive")
	list := strings.Join(refs, "\n")
	failing, before := bulkEach()*len(bulkFaults), int64(0)
	run := func(landed string) {
		p := fetchList(t, endpoint, archive, "--attempts", "1")
		p.Stdin = strings.NewReader(list)
		p.start(t)
		before = max(before, peakMemory(p.Process.Pid))
		p.exits(t, 3)
		for cause := range bulkFaults {
			for i := range bulkEach() {
				line := fmt.Sprintf("tallyman: sls://cn-hangzhou/%s/%s-%d: %s: ", testProject, cause, i, cause)
				if strings.Count(p.stderr.String(), line) != 1 {
					t.Errorf("not said once: %s", line)
				}
			}
		}
		if sums := fmt.Sprintf("\n%s, %d failed, 0 not ready\n", landed, failing); strings.Count(p.stderr.String(), sums) != 1 {
			t.Errorf("it did not end with%s%s", sums, &p.stderr)
		}
		if n := strings.Count(p.stderr.String(), "tallyman: "); n != failing {
			t.Errorf("it said that %d failed", n)
		}
	}
	run(fmt.Sprintf("%d landed", *bulkJobs-failing))
	first := cloud.Counts()
	run(fmt.Sprintf("%d landed (%d before)", *bulkJobs-failing, *bulkJobs-failing))
	for job, second := range cloud.Counts().Jobs {
		tried := second.StatusCalls > first.Jobs[job].StatusCalls
		if good := strings.Contains(job, "/good-"); tried == good {
			t.Errorf("%s: tried again is %v", job, tried)
		}
	}
	t.Logf("%d exports by one command: %d MiB at most", *bulkJobs, before>>20)
	if before > mostBulkMemory {
		t.Errorf("it took %d bytes of memory, want no more than %d", before, mostBulkMemory)
	}
	retryTriesOnlyWhatFailed(t, cloud, endpoint, archive)
}

const mostBulkMemory = 200 << 20

func retryTriesOnlyWhatFailed(t *testing.T, cloud *sandbox.Cloud, endpoint, archive string) {
	t.Helper()
	for cause := range bulkFaults {
		first := cloud.Counts()
		p := command(t, "retry", "--cause", cause, "--archive", archive, "--attempts", "1")
		p.Env = append(p.Env, "TALLYMAN_ENDPOINT_SLS="+endpoint, "TALLYMAN_ALLOW_HOST=127.0.0.1")
		p.runs(t, 3)
		for job, second := range cloud.Counts().Jobs {
			tried := second.StatusCalls > first.Jobs[job].StatusCalls
			if failed := strings.Contains(job, "/"+cause+"-"); tried != failed {
				t.Errorf("retry --cause %s tried %s: %v", cause, job, tried)
			}
		}
	}
}

// What comes through a pipe is fetched as it comes, and the end of the pipe is
// not waited for.
func TestReferencesAreFetchedAsTheyCome(t *testing.T) {
	t.Parallel()
	cloud, endpoint := newCloud(t)
	p := fetchList(t, endpoint, t.TempDir())
	p.Stdout = nil
	stdin, inErr := p.StdinPipe()
	stdout, outErr := p.StdoutPipe()
	if err := errors.Join(inErr, outErr); err != nil {
		t.Fatal(err)
	}
	p.start(t)
	landed := bufio.NewReader(stdout)
	for i := range 3 {
		name := fmt.Sprintf("job-%d", i)
		cloud.AddJob(testProject, sandbox.Job{Name: name, File: sandbox.File{Rows: 10}})
		fmt.Fprintf(stdin, "sls://cn-hangzhou/%s/%s\n", testProject, name)
		if line, err := landed.ReadString('\n'); err != nil || !strings.Contains(line, "/"+name+" ") {
			t.Fatalf("%q, %v", line, err)
		}
	}
	stdin.Close()
	p.exits(t, 0)
}

// Jobs that are waited for take up no turn of others.
func TestAWaitForManyJobsKeepsNoneBehindThemWaiting(t *testing.T) {
	t.Parallel()
	cloud, endpoint := newCloud(t)
	var list strings.Builder
	for i := range 100 {
		name := fmt.Sprintf("slow-%d", i)
		cloud.AddJob(testProject, sandbox.Job{Name: name, Statuses: []string{sandbox.JobRunning}})
		fmt.Fprintf(&list, "sls://cn-hangzhou/%s/%s\n", testProject, name)
	}
	cloud.AddJob(testProject, sandbox.Job{Name: "ready", File: sandbox.File{Rows: 10}})
	fmt.Fprintf(&list, "sls://cn-hangzhou/%s/ready\n", testProject)
	p := fetchList(t, endpoint, t.TempDir(), "--wait", "1s", "--poll", "100ms", "--parallel", "2")
	p.Stdin = strings.NewReader(list.String())
	p.runs(t, 8)
	if !strings.Contains(p.stderr.String(), "\n1 landed, 0 failed, 100 not ready\n") {
		t.Errorf("it said %s", &p.stderr)
	}
}

// All transfers together keep to the limit.
func TestTransfersKeepToTheirLimit(t *testing.T) {
	t.Parallel()
	cloud, endpoint := newCloud(t)
	var list strings.Builder
	for i := range 4 {
		name := fmt.Sprintf("job-%d", i)
		cloud.AddJob(testProject, sandbox.Job{Name: name, File: sandbox.File{Rows: 1000, Body: sandbox.Generate(1000, "csv", uint64(i))}})
		fmt.Fprintf(&list, "sls://cn-hangzhou/%s/%s\n", testProject, name)
	}
	p := fetchList(t, endpoint, t.TempDir(), "--limit-rate", "200KB", "--part-size", "64KiB")
	p.Stdin = strings.NewReader(list.String())
	began := time.Now()
	p.runs(t, 0)
	bytes := float64(cloud.Counts().Bytes)
	if rate := bytes / time.Since(began).Seconds(); rate > 250e3 {
		t.Errorf("%.0f bytes at %.0f a second", bytes, rate)
	}
}

func TestCallsKeepToTheirRate(t *testing.T) {
	t.Parallel()
	cloud, endpoint := newCloud(t)
	var list strings.Builder
	for i := range 5 {
		name := fmt.Sprintf("job-%d", i)
		cloud.AddJob(testProject, sandbox.Job{Name: name, File: sandbox.File{Rows: 1}})
		fmt.Fprintf(&list, "sls://cn-hangzhou/%s/%s\n", testProject, name)
	}
	p := fetchList(t, endpoint, t.TempDir(), "--api-rate", "2")
	p.Stdin = strings.NewReader(list.String())
	began := time.Now()
	p.runs(t, 0)
	if took := time.Since(began); took < 1450*time.Millisecond { // 2 at once, 3 more at 2 a second
		t.Errorf("5 calls at 2 a second took %v", took)
	}
}

// endless are references that never end.
type endless struct{ n int }

func (e *endless) Read(p []byte) (int, error) {
	e.n++
	return copy(p, fmt.Sprintf("sls://cn-hangzhou/project/job-%d\n", e.n)), nil
}

func TestAnEndlessListTakesUpNoMoreMemory(t *testing.T) {
	t.Parallel()
	r := &references{app: &app{Options: &config.Options{References: "-"}}, stdin: &endless{}, providers: map[string]fetch.Provider{"sls": &fakePlace{}}}
	n := 0
	for _, err := range r.all(t.Context(), true) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 200 {
			break
		}
	}
	names, err := lru.New[string, uint64](100)
	if err != nil {
		t.Fatal(err)
	}
	seen := dedupe{names}
	for i := range 200 {
		seen.see(mustRef(t, fmt.Sprintf("sls://cn-hangzhou/project/job-%d", i)))
		if n := names.Len(); n > 100 {
			t.Fatalf("%d references are remembered", n)
		}
	}
}

func TestReferencesAreRememberedForAWhile(t *testing.T) {
	names, err := lru.New[string, uint64](5)
	if err != nil {
		t.Fatal(err)
	}
	seen := dedupe{names}
	see := func(s string) string {
		before, alike := seen.see(mustRef(t, s))
		return fmt.Sprint(before, alike)
	}
	first := "https://host/file"
	if got := see(first); got != "false true" {
		t.Errorf("the first time: %s", got)
	}
	for round := range 5 {
		for i := range 4 {
			see(fmt.Sprintf("https://host/file-%d-%d", round, i))
		}
		if got := see(first); got != "true true" {
			t.Errorf("4 references later: %s", got)
		}
	}
	for _, other := range []string{first + "#size=1", first + "?Signature=a"} {
		if got := see(other); got != "true false" {
			t.Errorf("%s: %s", other, got)
		}
	}
	for i := range 12 {
		see(fmt.Sprintf("https://host/file-%d", i))
	}
	if got := see(first); got != "false true" {
		t.Errorf("12 references later: %s", got)
	}
}

func TestReadersOfAListMayHaveHadEnough(t *testing.T) {
	t.Parallel()
	cloud, endpoint := newCloud(t)
	for i := range 2000 {
		cloud.AddJob(testProject, sandbox.Job{Name: fmt.Sprintf("a-job-with-a-rather-long-name-%d", i)})
	}
	p := command(t, "discover", "sls://cn-hangzhou/"+testProject+"/", "--endpoint", "sls="+endpoint)
	p.Stdout = nil
	stdout, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.start(t)
	if _, err := io.ReadFull(stdout, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	stdout.Close()
	p.exits(t, 0)
	if p.stderr.String() != "" || cloud.Counts().Calls["ListDownloadJobs"] >= 20 {
		t.Errorf("after %d pages it said %s", cloud.Counts().Calls["ListDownloadJobs"], &p.stderr)
	}
}
