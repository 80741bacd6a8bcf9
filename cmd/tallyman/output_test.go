package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tallyman/fetch/sandbox"
	"tallyman/verify/archive"
	"tallyman/worker"
)

// A command whose output is lost does its work and tells of it, however little it
// had to say.
func TestACommandWhoseOutputIsLostFails(t *testing.T) {
	cloud := sandbox.New(sandbox.Options{AccessKeyID: accessKeyID, AccessKeySecret: accessKeySecret})
	cloud.AddProject(testProject)
	endpoint, stop, err := cloud.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	for _, name := range []string{"landed", "doubted", "other", "cancelled"} {
		job := sandbox.Job{Name: name, File: sandbox.File{Rows: 10, Codec: "zstd"}}
		if name == "doubted" {
			job.LogCount = new(int64(5))
		}
		cloud.AddJob(testProject, job)
	}
	dir := filepath.Join(t.TempDir(), "archive")
	for name, value := range environment(t.TempDir()) {
		t.Setenv(name, value)
	}
	t.Setenv("TALLYMAN_ARCHIVE", dir)
	t.Setenv("TALLYMAN_ENDPOINT_SLS", endpoint)
	t.Setenv("TALLYMAN_ALLOW_HOST", strings.TrimPrefix(endpoint, "http://"))
	place := "sls://cn-hangzhou/" + testProject + "/"
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	r, closed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer closed.Close()
	r.Close()
	readOnly, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer readOnly.Close()
	for _, test := range []struct {
		args  []string
		quiet bool // it says nothing with -q
	}{
		{args: []string{"fetch", place + "landed"}},
		{args: []string{"fetch", place + "doubted"}}, // also where the exit code is 9
		{args: []string{"fetch", "--dry-run", place + "other"}},
		{args: []string{"status"}},
		{args: []string{"status", place + "landed"}},
		{args: []string{"verify"}, quiet: true},
		{args: []string{"cancel", place + "landed"}, quiet: true},
		{args: []string{"init", dir}},
		{args: []string{"discover", place}},
		{args: []string{"help"}},
		{args: []string{"help", "fetch"}},
		{args: []string{"fetch", "--help"}},
		{args: []string{"--version"}},
		{args: []string{"completion", "bash"}},
	} {
		for _, output := range []struct {
			file  *os.File
			exit  int
			flags []string
		}{
			{full, worker.ExitDisk, []string{"", "--json", "--quiet"}},
			{closed, worker.ExitUnknown, []string{""}},
			{readOnly, worker.ExitUnknown, []string{"--json"}},
		} {
			want, said := output.exit, "tallyman: write to standard output: "
			if test.args[0] == "discover" && output.file == closed { // as head does
				want, said = 0, ""
			}
			for _, flag := range output.flags {
				if flag == "--quiet" && test.quiet {
					continue
				}
				args := append(strings.Fields(flag), test.args...)
				var stderr bytes.Buffer
				if code := run(args, output.file, &stderr); code != want || !strings.Contains(stderr.String(), said) {
					t.Errorf("%v > %s: exit code %d, want %d: %s", args, output.file.Name(), code, want, &stderr)
				}
			}
		}
	}
	store, err := archive.Open(dir, "", archive.SiteArchive)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"landed", "doubted"} {
		if err := store.Recheck(t.Context(), "sls/cn-hangzhou/"+testProject+"/"+name, nil); err != nil {
			t.Errorf("%s has not landed: %v", name, err)
		}
	}
}

// What has failed is told by its own exit code, also where the output is lost.
func TestALostOutputHidesNoFailure(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	var stderr bytes.Buffer
	if code := run([]string{"fetch", "--archive", t.TempDir() + "/none", "--json", "https://127.0.0.1:1/a#size=1"}, full, &stderr); code != worker.ExitIntegrity {
		t.Errorf("exit code %d", code)
	}
	for _, said := range []string{"host-refused", "tallyman: write to standard output: no space left on device"} {
		if !strings.Contains(stderr.String(), said) {
			t.Errorf("it does not say %q: %s", said, &stderr)
		}
	}
}

// A reader that has read enough does not end a fetch in its midst.
func TestAClosedPipeEndsNoFetch(t *testing.T) {
	t.Parallel()
	job, dir := newSlowJob(t), filepath.Join(t.TempDir(), "archive")
	job.pace(noSlowBytes)
	p := job.fetch(t, dir)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	p.Stdout = w
	p.start(t)
	w.Close()
	p.exits(t, worker.ExitUnknown)
	if said := p.stderr.String(); !strings.Contains(said, "tallyman: write to standard output: broken pipe\nhint: ") {
		t.Errorf("it said %s", said)
	}
	isWhole(t, dir)
}

// Where standard output is closed, the Go runtime opens /dev/null in its place before
// main begins. That it has done so can't be told from what daemon(3) does, so it is
// taken for an output that nobody wants, and its loss for no failure.
func TestAClosedStdoutIsTakenForDevNull(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "archive")
	for _, args := range [][]string{{"version"}, {"help"}, {"init", dir}, {"status", "--archive", dir}, {"verify", "--archive", dir}} {
		p := command(t, args...)
		p.Args = append([]string{"sh", "-c", `exec "$0" "$@" >&-`, commandPath(t)}, args...)
		p.Path = "/bin/sh"
		p.runs(t, 0)
		if p.stdout.Len() > 0 || strings.Contains(p.stderr.String(), "standard output") {
			t.Errorf("%q says %q and %q", args, &p.stdout, &p.stderr)
		}
	}
}
