package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"tallyman/fetch/sandbox"
)

// A disk that is full keeps what was received, and with room again the export
// lands.
func TestAFullDiskLosesNothing(t *testing.T) {
	t.Parallel()
	startsManyProcesses(t)
	job, dir := newSlowJob(t), t.TempDir()
	job.pace(noSlowBytes)
	p := job.fetch(t, filepath.Join(dir, "archive"))
	p.Args = append([]string{"sh", "-c", `ulimit -f 1000; exec "$0" "$@"`, commandPath(t)}, p.Args[1:]...)
	p.Path = "/bin/sh"
	p.runs(t, 10)
	checkFull(t, job, p, filepath.Join(dir, "archive"))
	job.fetch(t, filepath.Join(dir, "archive")).runs(t, 0)
	isWhole(t, filepath.Join(dir, "archive"))
}

// The same by a file system that has no room: only root may mount one.
func TestAFullFileSystemLosesNothing(t *testing.T) {
	t.Parallel()
	startsManyProcesses(t)
	job, dir := newSlowJob(t), mounted(t, "size=1m")
	job.pace(noSlowBytes)
	p := job.fetch(t, dir)
	p.runs(t, 10)
	checkRefused(t, p, dir)
	if served := job.served(); served > 0 {
		t.Errorf("%d bytes were asked for", served)
	}
	job.UpdateJob(testProject, slowName, func(job *sandbox.Job) { // nobody says how large it is decoded
		job.File.Body, job.File.Codec, job.File.Name = nil, "zstd", ""
	})
	p = job.fetch(t, dir)
	p.runs(t, 10)
	if !strings.Contains(p.stderr.String(), ": disk-full: ") || job.served() == 0 {
		t.Errorf("%d bytes were served: %s", job.served(), &p.stderr)
	}
	remount(t, dir, "size=64m")
	job.fetch(t, dir).runs(t, 0)
	isWhole(t, dir)
}

// checkRefused holds what is said of a disk without room to what one wants to
// know.
func checkRefused(t *testing.T, p *process, archive string) {
	t.Helper()
	for _, want := range []string{": disk-full: ", "no room for", "it needs", archive + " has ", " free", "hint: make room and run again: what was received is kept"} {
		if !strings.Contains(p.stderr.String(), want) {
			t.Errorf("it does not say %q: %s", want, &p.stderr)
		}
	}
}

func checkFull(t *testing.T, job *slowJob, p *process, archive string) {
	t.Helper()
	if !strings.Contains(p.stderr.String(), ": disk-full: ") {
		t.Errorf("it said %s", &p.stderr)
	}
	partials, err := filepath.Glob(filepath.Join(archive, ".ingest", "*", "parts", "*.wire"))
	if err != nil || len(partials) != 1 {
		t.Fatalf("partials %q, %v", partials, err)
	}
	if info, err := os.Stat(partials[0]); err != nil || info.Size() == 0 {
		t.Errorf("nothing of the partial was kept: %v", err)
	}
	t.Logf("%d of %d bytes were served before the disk was full", job.served(), job.size)
}

// commandPath is the program as an executable of its own name.
func commandPath(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("tallyman")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// An archive that can't be written to: it says where, and what to do.
func TestAnArchiveThatCantBeWrittenToIsNamed(t *testing.T) {
	t.Parallel()
	startsManyProcesses(t)
	job, dir := newSlowJob(t), t.TempDir()
	job.pace(noSlowBytes)
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, archive := range []string{file, filepath.Join(file, "archive")} {
		checkUnwritable(t, job, archive)
	}
	missing := filepath.Join(dir, "not", "yet", "there")
	job.fetch(t, missing).runs(t, 0)
	isWhole(t, missing)
}

func checkUnwritable(t *testing.T, job *slowJob, archive string) {
	t.Helper()
	p, served := job.fetch(t, archive), job.served()
	p.runs(t, 10)
	for _, want := range []string{archive, "hint: see that the archive can be written to, and run again"} {
		if !strings.Contains(p.stderr.String(), want) {
			t.Errorf("it does not say %q: %s", want, &p.stderr)
		}
	}
	if job.served() != served {
		t.Error("bytes were asked for")
	}
}

// A file system that became read-only, as a root user may make one.
func TestAReadOnlyArchiveLosesNothing(t *testing.T) {
	t.Parallel()
	startsManyProcesses(t)
	job, dir := newSlowJob(t), mounted(t, "size=64m")
	archive := filepath.Join(dir, "archive")
	p := job.fetch(t, archive)
	p.start(t)
	job.waitFor(t, job.size/2)
	p.Process.Signal(os.Interrupt)
	p.exits(t, 130)
	job.pace(noSlowBytes)
	remount(t, dir, "ro")
	checkUnwritable(t, job, archive)
	checkUnwritable(t, job, filepath.Join(dir, "another"))
	remount(t, dir, "rw")
	before := job.served()
	job.fetch(t, archive).runs(t, 0)
	isWhole(t, archive)
	if again := job.served() - before; again > job.size/2+inFlight {
		t.Errorf("%d bytes of %d were fetched then", again, job.size)
	}
	if err := os.RemoveAll(filepath.Join(archive, "sls", "cn-hangzhou", testProject, slowName, "data")); err != nil {
		t.Fatal(err)
	}
	remount(t, dir, "ro")
	p = command(t, "verify", "--repair", "--archive", archive, "--endpoint", "sls="+job.endpoint, "--allow-host", "127.0.0.1")
	p.runs(t, 12)
	if says := "nothing can be repaired here: the archive can't be written to"; !strings.Contains(p.stderr.String(), says) {
		t.Errorf("it does not say %q: %s", says, &p.stderr)
	}
	remount(t, dir, "rw")
}

// A file system with room for bytes, and for no more files.
func TestADiskThatHoldsNoMoreFilesIsFull(t *testing.T) {
	t.Parallel()
	startsManyProcesses(t)
	job, dir := newSlowJob(t), mounted(t, "size=64m,nr_inodes=20")
	job.pace(noSlowBytes)
	p := job.fetch(t, dir)
	p.runs(t, 10)
	if !strings.Contains(p.stderr.String(), ": disk-full: ") || job.served() > 0 {
		t.Errorf("%d bytes were served: %s", job.served(), &p.stderr)
	}
	remount(t, dir, "nr_inodes=1000")
	job.fetch(t, dir).runs(t, 0)
	isWhole(t, dir)
}

// mounted is a file system of its own, for the time of the test.
func mounted(t *testing.T, options string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", options, "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("no file system can be mounted here: %s", out)
	}
	t.Cleanup(func() { exec.Command("umount", dir).Run() })
	return dir
}

func remount(t *testing.T, dir, options string) {
	t.Helper()
	if out, err := exec.Command("mount", "-o", "remount,"+options, dir).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
}

// Of files and connections there may be few: what can't be opened is tried
// again, or by the next run, and none is lost.
func TestFewOpenFilesLoseNothing(t *testing.T) {
	t.Parallel()
	cloud, endpoint := newCloud(t)
	body := sandbox.Generate(3000, "csv", 3)
	var refs []string
	for i := range 12 {
		name := fmt.Sprintf("job-%d", i)
		cloud.AddJob(testProject, sandbox.Job{Name: name, File: sandbox.File{Rows: 3000, Body: body}})
		refs = append(refs, "sls://cn-hangzhou/"+testProject+"/"+name)
	}
	for _, limit := range []int{256, 64, 24} {
		archive := filepath.Join(t.TempDir(), "archive")
		fetch := func() *process {
			p := fetchList(t, endpoint, archive, "--parallel", "8", "--part-size", "64KiB", "--json")
			p.Stdin = strings.NewReader(strings.Join(refs, "\n"))
			return p
		}
		p := limited(t, fetch(), limit)
		p.start(t)
		code := exitOf(p.Wait())
		t.Logf("%d open files: exit %d", limit, code)
		if limit == 256 && code != 0 || code != 0 && !strings.Contains(p.stdout.String()+p.stderr.String(), "open-files") {
			t.Errorf("%s%s", &p.stdout, &p.stderr)
		}
		fetch().runs(t, 0)
		command(t, "verify", "--archive", archive).runs(t, 0)
	}
}

// limited lets a process open no more files than so many.
func limited(t *testing.T, p *process, files int) *process {
	t.Helper()
	p.Args = append([]string{"sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$0" "$@"`, files), commandPath(t)}, p.Args[1:]...)
	p.Path = "/bin/sh"
	return p
}
