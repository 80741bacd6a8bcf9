//go:build linux

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

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
