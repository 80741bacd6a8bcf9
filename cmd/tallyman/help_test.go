package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestLinesOfHelpHaveAtMost100Columns(t *testing.T) {
	t.Parallel()
	commands := []string{""}
	for _, cmd := range newRoot(io.Discard).Commands() {
		commands = append(commands, cmd.Name())
	}
	for _, name := range commands {
		var stdout bytes.Buffer
		root := newRoot(io.Discard)
		root.SetOut(&stdout)
		root.SetArgs(strings.Fields(name + " --help"))
		if err := root.Execute(); err != nil {
			t.Errorf("%s --help: %v", name, err)
		}
		if stdout.Len() == 0 {
			t.Errorf("%s --help prints nothing", name)
		}
		for line := range strings.Lines(stdout.String()) {
			if columns := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); columns > 100 {
				t.Errorf("%s --help has a line of %d columns: %s", name, columns, line)
			}
		}
	}
}
