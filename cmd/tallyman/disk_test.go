package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A disk that is full keeps what was received, and with room again the export
// lands.
func TestAFullDiskLosesNothing(t *testing.T) {
	t.Parallel()
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
	job, dir := newSlowJob(t), t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("no file system can be mounted here: %s", out)
	}
	t.Cleanup(func() { exec.Command("umount", dir).Run() })
	job.pace(noSlowBytes)
	p := job.fetch(t, dir)
	p.runs(t, 10)
	checkFull(t, job, p, dir)
	if out, err := exec.Command("mount", "-o", "remount,size=64m", dir).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	job.fetch(t, dir).runs(t, 0)
	isWhole(t, dir)
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
