package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// script(1) is a terminal for a command.
func TestATerminalShowsBars(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("script"); err != nil {
		t.Skip("there is no script(1)")
	}
	job, archive := newSlowJob(t), filepath.Join(t.TempDir(), "archive")
	p := job.fetch(t, archive)
	line := "stty cols 100 rows 40 <&1; exec " + commandPath(t) + " " + strings.Join(p.Args[1:], " ")
	p.Path, p.Args = "/bin/sh", []string{"sh", "-c", `exec script -qec "$0" /dev/null`, line}
	p.start(t)
	job.waitFor(t, job.size/2)
	job.pace(noSlowBytes)
	p.exits(t, 0)
	text := p.stdout.String()
	if !strings.Contains(text, "KiB / 1.2 MiB") {
		t.Errorf("no bar: %q", text)
	}
	if last := text[strings.LastIndex(text, "\x1b[J"):]; !strings.HasPrefix(last, "\x1b[Jlanded  "+slowRef) {
		t.Errorf("what landed is not what is left to see: %q", last)
	}
	isWhole(t, archive)
}
