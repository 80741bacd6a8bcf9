// Command tallyman fetches cloud exports into an archive in which nothing
// unverified is ever visible.
//
// main.go is the process: signals, output without secrets, exit codes. root.go
// has the root command, and each subcommand has a file. providers.go is the only
// list of providers. hints.go has what to do about each error. Flags and other
// settings are in internal/config.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/fetch"
	"tallyman/fetch/redact"
	"tallyman/worker"
)

func main() {
	stdout := os.Stdout
	// Libraries of the vendors print some of what they read to it, such as the answer of
	// the command that gives the credentials of a profile: neither ours nor to be shown.
	os.Stdout, _ = os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	os.Exit(run(os.Args[1:], stdout, os.Stderr))
}

// run is the program, and returns its exit code.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	disableCoreDumps()
	// Where nobody reads the output any more, the write is to fail, and not to end
	// the process in the midst of its work. Unlike an ignored signal, one that is
	// caught is not passed on to processes that libraries start.
	brokenPipe := make(chan os.Signal, 1)
	signal.Notify(brokenPipe, syscall.SIGPIPE)
	defer signal.Stop(brokenPipe)
	cli.HideEnvironment(os.Environ(), demoSecret) // which the command sandbox prints
	output := &cli.RedactingWriter{To: stdout, Redact: redact.Known, Final: true}
	stderr = &cli.RedactingWriter{To: stderr, Redact: redact.Text}
	log.SetOutput(io.Discard) // until prepare knows who wants to hear libraries
	if len(args) > 0 && args[0] == "--version" {
		args = []string{"version"} // which makes no other command
	}
	root := newRoot(output, args...)
	root.SetArgs(args)
	root.SetErr(stderr)
	err := recoverPanic(func() error { return root.ExecuteContext(ctx) })
	return exitCode(ctx, err, output.Err, stderr)
}

// recoverPanic calls do and returns its error, or a panic as an error. The
// runtime would print the value of a panic with the secrets in it.
func recoverPanic(do func() error) (err error) {
	defer fetch.Recover(&err)
	return do()
}

// exitCode prints the error that ended the command, and returns the exit code.
// Unless lost is nil, standard output has failed: that is the error of a command
// that ended well or with doubts.
func exitCode(ctx context.Context, err error, lost *cli.OutputError, stderr io.Writer) int {
	code, printed := errors.AsType[cli.ExitError](err)
	switch {
	case lost != nil && (err == nil || code == worker.ExitDoubts):
		err = lost
	case err == nil:
		return worker.ExitLanded
	case printed:
		if lost != nil && code != worker.ExitLanded {
			fmt.Fprintf(stderr, "tallyman: %v\n", lost)
		}
		return int(code)
	}
	fmt.Fprintf(stderr, "tallyman: %s\n", redact.Text(err.Error()))
	if _, ok := errors.AsType[*cli.UsageError](err); ctx.Err() != nil && !ok {
		return worker.ExitInterrupted
	}
	if panicked, ok := errors.AsType[*fetch.PanicError](err); ok {
		fmt.Fprintln(stderr, panicked.Stack)
	}
	cli.PrintHint(stderr, hint("", err))
	return cli.Classify(err).Exit
}
