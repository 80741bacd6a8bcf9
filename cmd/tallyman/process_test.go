package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"tallyman/fetch/sandbox"
)

// A process is the program in a process of its own.
type process struct {
	*exec.Cmd
	stdout bytes.Buffer // to be read when it has ended
	stderr output
}

// An output is what a process has printed so far.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// command is the program with those arguments, in an environment of its own. It
// makes an archive even of an empty directory, such as those of tests are.
func command(t *testing.T, args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: exec.CommandContext(t.Context(), self)}
	p.Args = append([]string{"tallyman"}, args...)
	p.Env = append(p.Env, "TALLYMAN_CREATE=true")
	for name, value := range environment(t.TempDir()) {
		p.Env = append(p.Env, name+"="+value)
	}
	p.Stdout, p.Stderr = &p.stdout, &p.stderr
	return p
}

func (p *process) start(t *testing.T) {
	t.Helper()
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
}

// exits waits for the end of what start began.
func (p *process) exits(t *testing.T, want int) {
	t.Helper()
	if err := p.Wait(); exitOf(err) != want {
		t.Fatalf("it ended with %v, want exit code %d\n%s%s", err, want, &p.stdout, &p.stderr)
	}
}

// runs is start and exits.
func (p *process) runs(t *testing.T, want int) {
	t.Helper()
	p.start(t)
	p.exits(t, want)
}

// A slowJob is one whose file comes slowly, so that there is a midst of its
// transfer.
type slowJob struct {
	*sandbox.Cloud
	endpoint string
	size     int64
}

const (
	slowName    = "slow"
	slowRef     = "sls://cn-hangzhou/" + testProject + "/" + slowName
	slowParts   = 64 << 10
	slowRanges  = 4
	inFlight    = slowParts * slowRanges
	slowBytes   = 100_000 // a second, of each response
	noSlowBytes = 0
)

func newSlowJob(t *testing.T) *slowJob {
	t.Helper()
	cloud := sandbox.New(sandbox.Options{AccessKeyID: accessKeyID, AccessKeySecret: accessKeySecret})
	body := sandbox.Generate(12000, "csv", 7)
	file := sandbox.File{Rows: 12000, Body: body, Name: slowName + ".csv"}
	file.Faults.SlowBytesPerSecond = slowBytes
	cloud.AddJob(testProject, sandbox.Job{Name: slowName, File: file})
	endpoint, stop, err := cloud.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return &slowJob{cloud, endpoint, int64(len(body))}
}

func (j *slowJob) fetch(t *testing.T, archive string) *process {
	t.Helper()
	return command(t, "fetch", slowRef, "--archive", archive, "--endpoint", "sls="+j.endpoint, "--allow-host", "127.0.0.1",
		"--part-size", "64KiB", "--parallel", "4")
}

func (j *slowJob) pace(bytesPerSecond int64) {
	j.UpdateJob(testProject, slowName, func(job *sandbox.Job) { job.File.Faults.SlowBytesPerSecond = bytesPerSecond })
}

func (j *slowJob) served() int64 { return j.Counts().Jobs[testProject+"/"+slowName].Bytes }

// waitFor waits until so many bytes were served.
func (j *slowJob) waitFor(t *testing.T, bytes int64) {
	t.Helper()
	for j.served() < bytes {
		select {
		case <-t.Context().Done():
			t.Fatal("the test is over")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// isWhole fails unless the export is in the archive, whole.
func isWhole(t *testing.T, archive string) {
	t.Helper()
	command(t, "verify", "--archive", archive, slowRef).runs(t, 0)
}

// landedFiles are the files of the export whose bytes its content decides.
func landedFiles(t *testing.T, archive string) (manifest, data []byte) {
	t.Helper()
	bag := filepath.Join(archive, "sls", "cn-hangzhou", testProject, slowName)
	manifest, err := os.ReadFile(filepath.Join(bag, "manifest-sha256.txt"))
	if err != nil {
		t.Fatal(err)
	}
	data, err = os.ReadFile(filepath.Join(bag, "data", slowName+".csv"))
	if err != nil {
		t.Fatal(err)
	}
	return manifest, data
}

func TestAKilledProcessLosesOnlyWhatIsInFlight(t *testing.T) {
	t.Parallel()
	job, archive := newSlowJob(t), t.TempDir()
	const kills = 2
	for i := range int64(kills) {
		p := job.fetch(t, archive)
		p.start(t)
		job.waitFor(t, job.size*(i+1)/(kills+1))
		p.Process.Kill()
		p.exits(t, -1)
		if _, err := os.Stat(filepath.Join(archive, "sls")); err == nil {
			t.Fatal("a killed process left something under the final name")
		}
	}
	job.pace(noSlowBytes)
	job.fetch(t, archive).runs(t, 0)
	twice := job.served() - job.size
	t.Logf("%d of %d bytes were served twice after %d kills", twice, job.size, kills)
	if twice > kills*inFlight {
		t.Errorf("%d bytes were served twice, want at most %d", twice, kills*inFlight)
	}
	isWhole(t, archive)
	manifest, data := landedFiles(t, archive)
	never := t.TempDir()
	job.fetch(t, never).runs(t, 0)
	wantManifest, wantData := landedFiles(t, never)
	if !bytes.Equal(manifest, wantManifest) || !bytes.Equal(data, wantData) {
		t.Error("the bag is not that of a process that was never killed")
	}
}

func TestOfTwoProcessesOneFetches(t *testing.T) {
	t.Parallel()
	job, archive := newSlowJob(t), t.TempDir()
	first := job.fetch(t, archive)
	first.start(t)
	job.waitFor(t, job.size/4)
	first.Process.Signal(syscall.SIGSTOP) // in the midst of its transfer, however long the second takes
	job.fetch(t, archive).runs(t, 11)
	job.pace(noSlowBytes)
	first.Process.Signal(syscall.SIGCONT)
	first.exits(t, 0)
	if served := job.served(); served != job.size {
		t.Errorf("%d bytes were served of a file of %d", served, job.size)
	}
	isWhole(t, archive)
}

func TestProcessesThatRaceLeaveAWholeBag(t *testing.T) {
	t.Parallel()
	job, archive := newSlowJob(t), t.TempDir()
	job.pace(noSlowBytes)
	var racing []*process
	for range 4 {
		p := job.fetch(t, archive)
		p.start(t)
		racing = append(racing, p)
	}
	ended := map[int]int{}
	for _, p := range racing {
		ended[exitOf(p.Wait())]++
	}
	if ended[0] == 0 || ended[0]+ended[11] != len(racing) {
		t.Errorf("exit codes %v", ended)
	}
	isWhole(t, archive)
}
