//go:build linux

package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// newTerminal returns both ends of a terminal: what a person sees and types, and what
// a command has for its output and input.
func newTerminal(t *testing.T, columns uint16) (person, command *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { person.Close() })
	fd := int(person.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns})
	}
	if err == nil {
		command, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { command.Close() })
	return person, command
}

// Whoever sits at a terminal is asked, and only a yes is one; a script is not asked.
func TestOnlyATerminalIsAsked(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]bool{"y": true, "YES ": true, "": false, "n": false, "yesterday": false} {
		person, command := newTerminal(t, 80)
		fmt.Fprintln(person, answer)
		if yes, err := Confirm(t.Context(), command, command, "Sure?"); yes != want || err != nil {
			t.Errorf("%q: %v, %v", answer, yes, err)
		}
	}
	person, command := newTerminal(t, 80)
	ended, end := context.WithCancel(t.Context())
	end()
	if yes, err := Confirm(ended, command, command, "Sure?"); yes || !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v, %v", yes, err)
	}
	fmt.Fprintln(person) // ends the read
	var stderr strings.Builder
	if yes, err := Confirm(t.Context(), command, &stderr, "Sure?"); !yes || err != nil || stderr.Len() > 0 {
		t.Errorf("no terminal: %v, %v, %q", yes, err, &stderr)
	}
}
