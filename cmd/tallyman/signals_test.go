package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"tallyman/fetch/sandbox"
)

func TestASignalEndsAFetchAndKeepsWhatWasReceived(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			job, archive := newSlowJob(t), t.TempDir()
			p := job.fetch(t, archive)
			p.start(t)
			job.waitFor(t, job.size/2)
			p.Process.Signal(signal)
			p.exits(t, 130)
			if !strings.Contains(p.stderr.String(), "interrupted\nhint: run again: what was received is kept\n") {
				t.Errorf("it said %s", &p.stderr)
			}
			job.pace(noSlowBytes)
			job.fetch(t, archive).runs(t, 0)
			if twice := job.served() - job.size; twice > inFlight {
				t.Errorf("%d bytes were served twice", twice)
			}
			isWhole(t, archive)
		})
	}
}

// A pipe that goes on for ever keeps nobody from interrupting.
func TestASignalEndsTheReadingOfReferences(t *testing.T) {
	t.Parallel()
	p := command(t, "fetch", "-f", "-", "--archive", t.TempDir())
	stdin, err := p.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.start(t)
	const pipe = 64 << 10
	if _, err := io.WriteString(stdin, strings.Repeat("# nothing\n", pipe/5)); err != nil { // twice a pipe: half of it was read
		t.Fatal(err)
	}
	p.Process.Signal(syscall.SIGINT)
	p.exits(t, 130)
}

func TestASignalEndsAWaitForAJob(t *testing.T) {
	t.Parallel()
	job := newSlowJob(t)
	job.UpdateJob(testProject, slowName, func(j *sandbox.Job) { j.Statuses = []string{sandbox.JobRunning} })
	p := job.fetch(t, t.TempDir())
	p.Args = append(p.Args, "--json", "--poll", "1h")
	p.start(t)
	for job.Counts().Jobs[testProject+"/"+slowName].StatusCalls == 0 {
		time.Sleep(5 * time.Millisecond)
	}
	p.Process.Signal(syscall.SIGINT)
	p.exits(t, 130)
	if !strings.Contains(p.stdout.String(), `"state":"cancelled","cause":"cancelled"`) {
		t.Errorf("it printed %s", &p.stdout)
	}
}

// A process whose output nobody reads can't end in order.
func TestASecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	job, archive := newSlowJob(t), t.TempDir()
	job.pace(noSlowBytes)
	job.fetch(t, archive).runs(t, 0)
	var absent []string
	for i := range 5000 {
		absent = append(absent, fmt.Sprintf("sls://cn-hangzhou/%s/absent-%d", testProject, i))
	}
	p := command(t, append([]string{"verify", "--archive", archive}, absent...)...)
	p.Stdout = nil
	stdout, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.start(t)
	if _, err := io.ReadFull(stdout, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if state := signalUntilItEnds(p, syscall.SIGTERM); !state.Signaled() || state.Signal() != syscall.SIGTERM {
		t.Errorf("it ended with %v: %s", state, &p.stderr)
	}
}

func signalUntilItEnds(p *process, signal os.Signal) syscall.WaitStatus {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.Wait() // how it ended is in its state
	}()
	for {
		select {
		case <-ended:
			return p.ProcessState.Sys().(syscall.WaitStatus)
		case <-time.After(20 * time.Millisecond):
			p.Process.Signal(signal)
		}
	}
}

func TestTheSandboxServesUntilItIsInterrupted(t *testing.T) {
	t.Parallel()
	startsManyProcesses(t)
	p := command(t, "sandbox")
	p.Stdout = nil
	stdout, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.start(t)
	refs, environment := readSandbox(t, stdout)
	fetch := command(t, "fetch", "--archive", filepath.Join(t.TempDir(), "archive"), refs[0], refs[len(refs)-1])
	fetch.Env = append(fetch.Env, environment...)
	fetch.runs(t, 0)
	p.Process.Signal(syscall.SIGINT)
	p.exits(t, 0)
}

// readSandbox takes in what a sandbox says: what to export, and what to fetch.
func readSandbox(t *testing.T, r io.Reader) (refs, environment []string) {
	t.Helper()
	buffer := make([]byte, 4096)
	text := ""
	for strings.Count(text, "tallyman fetch ") < len(scenarios()) || !strings.HasSuffix(text, "\n") {
		n, err := r.Read(buffer)
		if err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		text += string(buffer[:n])
	}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "export "):
			environment = append(environment, words[1:]...)
		case strings.HasPrefix(line, "tallyman fetch "):
			refs = append(refs, strings.Trim(words[2], "'"))
		}
	}
	return refs, environment
}
