//go:build linux

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"tallyman/fetch"
	"tallyman/verify"
	"tallyman/verify/archive"
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

// An interruption leaves the counts as the last lines of the terminal, and no bar.
func TestAnInterruptionLeavesACleanLastLine(t *testing.T) {
	t.Parallel()
	person, command := newTerminal(t, 60)
	said := make(chan string)
	go func() {
		b, _ := io.ReadAll(person) // fails once the other end is closed
		said <- string(b)
	}()
	store, err := archive.Open(t.TempDir(), "", archive.SiteEmpty)
	if err != nil {
		t.Fatal(err)
	}
	report := NewReport(command, command, Output{Hint: func(string, error) string { return "" }}, store)
	for _, name := range []string{"first", "second"} {
		report.Progress(fetch.Progress{Ref: testRef(t, name), Size: 1000, Bytes: 10})
	}
	report.End(testRef(t, "first"), nil, context.Canceled)
	report.Progress(fetch.Progress{Ref: testRef(t, "first"), Size: 1000, Bytes: 10}) // of an attempt that ends
	report.End(testRef(t, "second"), nil, context.Canceled)
	_ = report.Exit()
	report.Progress(fetch.Progress{Ref: testRef(t, "second"), Size: 1000, Bytes: 10})
	report.Close()
	command.Close()
	if last := <-said; !strings.HasSuffix(last, "0 landed, 2 idle, 0 failed, 0 not ready\r\ntallyman: interrupted\r\n") {
		t.Errorf("%q", last)
	}
}

// The bar for all exports has what landed, and forgets what is to be received again.
func TestTheBarForAllExportsAddsThemUp(t *testing.T) {
	t.Parallel()
	_, command := newTerminal(t, 100)
	store, err := archive.Open(t.TempDir(), "", archive.SiteEmpty)
	if err != nil {
		t.Fatal(err)
	}
	report := NewReport(command, command, Output{}, store)
	defer report.Close()
	bars := report.bars
	receive := func(name string, bytes, size int64) {
		report.Progress(fetch.Progress{Ref: testRef(t, name), Bytes: bytes, Size: size})
	}
	expect := func(exports, current, total int64) {
		t.Helper()
		if want := (extent{current: current, total: total}); bars.sum != want || bars.exports.Load() != exports {
			t.Errorf("%d exports, %+v; want %d, %+v", bars.exports.Load(), bars.sum, exports, want)
		}
	}
	receive("a", 30, 100) // which were here before
	receive("a", 20, 100)
	expect(1, 50, 100)
	if bars.all != nil {
		t.Error("one export has a bar for all")
	}
	receive("b", 0, verify.Unknown)
	receive("b", 5, 10)
	expect(2, 55, 110)
	if kept := bars.kept.Load(); kept != 30 || bars.all == nil {
		t.Errorf("%d bytes were here before; bar: %v", kept, bars.all)
	}
	report.Pause(testRef(t, "b"), "another attempt")
	expect(1, 50, 100)
	receive("a", 50, 100)
	bars.remove(testRef(t, "a"), true)
	receive("b", 10, 10)
	expect(2, 110, 110)
}

func TestABarSaysHowFarHowFastAndHowLong(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		current, total, received int64
		want                     string
	}{
		{0, 4096, 0, "0% "},
		{2048, 4096, 1024, "50% 512B/s ETA 4s "}, // half of what is here was here before
		{4096, 4096, 4096, "100% 2KiB/s "},
		{4096, 0, 4096, "2KiB/s "}, // nobody knows how much it is
	} {
		if got := pace(test.current, test.total, test.received, 2*time.Second); got != test.want {
			t.Errorf("%+v: %q", test, got)
		}
	}
	for width, want := range map[int]string{40: "sls://cn-hangzhou/ali/日志-123", 20: "sls://cn-…ali/日志-123", 1: "sls:…-123"} {
		if got := cutMiddle("sls://cn-hangzhou/ali/日志-123", width); got != want {
			t.Errorf("%d: %q", width, got)
		}
	}
}

// A bar fits on its terminal, however narrow that is, has no colours, and leaves
// nothing behind but the lines that were printed above it.
func TestARecheckIsShownOnATerminal(t *testing.T) {
	t.Parallel()
	for _, columns := range []uint16{12, 30, 100} {
		person, command := newTerminal(t, columns)
		said, shown := make(chan string), make(chan bool)
		go func() {
			text, chunk := "", make([]byte, 1024)
			for n, err := 0, error(nil); err == nil; {
				n, err = person.Read(chunk) // fails once the other end is closed
				if had := strings.Contains(text, "1 of 4"); strings.Contains(text+string(chunk[:n]), "1 of 4") && !had {
					close(shown)
				}
				text += string(chunk[:n])
			}
			said <- text
		}()
		bar := NewRecheckBar(command, command, false)
		bar.Begin(4)
		bar.Read(2048)
		bar.Increment()
		<-shown
		fmt.Fprintln(bar.Stdout, "whole    a")
		bar.Close()
		fmt.Fprintln(command, "1 whole")
		command.Close()
		text := <-said
		if !strings.HasSuffix(text, "1 whole\r\n") || strings.Count(text, "whole    a") != 1 || regexp.MustCompile(`\x1b\[[0-9;]*m`).MatchString(text) {
			t.Errorf("%d columns: %q", columns, text)
		}
		for _, line := range regexp.MustCompile(`\x1b\[[0-9]*[A-Z]|\r|\n`).Split(text, -1) {
			if utf8.RuneCountInString(line) > int(columns) {
				t.Errorf("%d columns: %q", columns, line)
			}
		}
	}
	if bar := NewRecheckBar(io.Discard, io.Discard, false); bar.Visible() {
		t.Error("shown without a terminal")
	}
	for checked, want := range map[int64]string{0: "0% 1KiB/s ", 1: "25% 1KiB/s ETA 6s ", 4: "100% 1KiB/s "} {
		if got := recheckPace(checked, 4, 2048, 2*time.Second); got != want {
			t.Errorf("%d of 4: %q", checked, got)
		}
	}
}
