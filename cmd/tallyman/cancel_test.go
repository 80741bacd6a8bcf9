package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"tallyman/fetch"
	"tallyman/verify"
	"tallyman/verify/archive"
)

// On a terminal, cancel asks before it removes what was received of more than one
// export, and no keeps all of it. With --yes, and where nobody sits, it does not ask.
func TestACancelAsksOnATerminal(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("script"); err != nil {
		t.Skip("there is no script(1)")
	}
	for name, test := range map[string]struct {
		terminal bool
		answer   string
		args     []string
		asks     bool
		exit     int
	}{
		"no":            {terminal: true, answer: "n", args: []string{"one", "two"}, asks: true, exit: 1},
		"nothing":       {terminal: true, answer: "", args: []string{"one", "two"}, asks: true, exit: 1},
		"yes":           {terminal: true, answer: "y", args: []string{"one", "two"}, asks: true},
		"only one":      {terminal: true, args: []string{"one"}},
		"--yes":         {terminal: true, args: []string{"--yes", "one", "two"}},
		"by a pipe":     {args: []string{"one", "two"}},
		"by it, no way": {answer: "n", args: []string{"one", "two"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "archive")
			store, err := archive.Open(dir, "", archive.SiteAbsent)
			if err != nil {
				t.Fatal(err)
			}
			args, keys := []string{"cancel", "--archive", dir}, []string(nil)
			for _, arg := range test.args {
				if arg != "--yes" {
					arg = "sls://cn-hangzhou/p/" + arg
					keys = append(keys, receiveHalf(t, store, arg))
				}
				args = append(args, arg)
			}
			p := command(t, args...)
			if test.terminal {
				p.Path, p.Args = "/bin/sh", []string{"sh", "-c", `exec script -qec "$0" /dev/null`, commandPath(t) + " " + strings.Join(args, " ")}
			}
			p.Stdin = strings.NewReader(test.answer + "\n")
			p.runs(t, test.exit)
			said := p.stdout.String() + p.stderr.String()
			if strings.Contains(said, "of 2 exports? [y/N]") != test.asks {
				t.Errorf("it says %q", said)
			}
			for _, key := range keys {
				if received, _ := store.Received(key); (received > 0) != (test.exit == 1) {
					t.Errorf("%d bytes of %s are there", received, key)
				}
			}
		})
	}
}

// receiveHalf receives a part of an export, and returns its key.
func receiveHalf(t *testing.T, store *archive.Archive, reference string) string {
	t.Helper()
	ref, err := fetch.ParseRef(reference)
	if err != nil {
		t.Fatal(err)
	}
	in, err := store.Begin(t.Context(), reference, ref.Key())
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	want := verify.NoPromise()
	want.Size = 100
	p, err := in.Partial(t.Context(), "a.csv", want)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.AddPromise(want); err != nil {
		t.Fatal(err)
	}
	for part := range p.Missing(100, 50) {
		if _, err := part.Write(make([]byte, 50)); err != nil {
			t.Fatal(err)
		}
		break
	}
	return ref.Key()
}
