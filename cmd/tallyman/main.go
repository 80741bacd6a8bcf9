// Command tallyman fetches cloud exports into an archive where nothing
// unverified is ever visible.
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

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tallyman/fetch"
	"tallyman/fetch/redact"
	"tallyman/worker"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the program. Every way out of it returns here.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	noCore()
	hideEnvironment(os.Environ())
	stdout, stderr = &veil{stdout, redact.Known}, &veil{stderr, redact.Text}
	log.SetOutput(stderr) // of package net/http, and whoever else has no log of ours
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := recovering(func() error { return root.ExecuteContext(ctx) })
	return exitCode(ctx, err, stderr)
}

// recovering makes a panic the error: the runtime would print what it is about,
// to where nothing is taken out of it.
func recovering(do func() error) (err error) {
	defer fetch.Recover(&err)
	return do()
}

// An exit is an error whose code is settled and of which all is said.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// A usageError is something wrong with how the command was called.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

func exitCode(ctx context.Context, err error, stderr io.Writer) int {
	if err == nil {
		return worker.ExitLanded
	}
	if code, ok := errors.AsType[exit](err); ok {
		return int(code)
	}
	fmt.Fprintf(stderr, "tallyman: %s\n", redact.Text(err.Error()))
	if _, ok := errors.AsType[*usageError](err); ok {
		return worker.ExitUsage
	}
	if ctx.Err() != nil {
		return worker.ExitInterrupted
	}
	if defect, ok := errors.AsType[*fetch.PanicError](err); ok {
		fmt.Fprintln(stderr, defect.Stack)
	}
	outcome := worker.Classify(err)
	hint(stderr, outcome.Hint)
	return outcome.Exit
}

func hint(w io.Writer, text string) {
	if text != "" {
		fmt.Fprintf(w, "hint: %s\n", text)
	}
}

func newRoot() *cobra.Command {
	o := new(options)
	root := &cobra.Command{
		Use:   "tallyman",
		Short: "Fetch cloud exports, prove them, keep them",
		Long: `Tallyman waits for an export job to finish, streams its result, checks every
byte and every record against what the job promised, and lands it in a local
archive where nothing unverified can ever be seen.`,
		Example: `  tallyman demo                        # no account needed
  tallyman fetch sls://cn-hangzhou/ali-test-project/download-123
  tallyman discover sls://cn-hangzhou/ali-test-project/ --since 2d | tallyman fetch -f -
  tallyman verify`,
		Annotations:   map[string]string{notesOf: notes},
		SilenceErrors: true, SilenceUsage: true,
		Version: version(),
		Args:    usage(cobra.NoArgs),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if plain(cmd) {
				return nil
			}
			if err := checkDebug(); err != nil {
				return err
			}
			return o.complete(cmd)
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w\nSee '%s --help'", unquoted(err), cmd.CommandPath())
	})
	root.SetHelpFunc(showHelp)
	root.SetUsageFunc(func(cmd *cobra.Command) error { showUsage(cmd.OutOrStdout(), cmd); return nil })
	root.SetVersionTemplate("tallyman {{.Version}}\n")
	o.common(root.PersistentFlags())
	_ = root.MarkPersistentFlagDirname("archive")
	_ = root.MarkPersistentFlagFilename("config", "yaml", "yml")
	for _, add := range []func(*options) *cobra.Command{newFetch, newWorker, newEnqueue, newStatus, newRetry, newRequeue, newCancel, newDiscover, newVerify, newDemo, newSandbox} {
		cmd := add(o)
		cmd.Flags().SortFlags = false
		completions(cmd)
		root.AddCommand(cmd)
	}
	return root
}

// unquoted is what is wrong with a flag, without its value if that may be a
// secret.
func unquoted(err error) error {
	if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok && invalid.GetFlag().Name == "redis" {
		return fmt.Errorf("--redis: %w", invalid.Unwrap())
	}
	return err
}

// notes are what holds for every command.
const notes = `Each flag has a twin in the environment, and in the configuration file that
--config names: --part-size is TALLYMAN_PART_SIZE, and part-size: in the file;
--endpoint sls=URL is TALLYMAN_ENDPOINT_SLS=URL, and endpoint: {sls: URL}. What
is given counts before the environment, and that before the file. The file may
name the profile of credentials for each place too:

  places:
    - {match: "sls://cn-hangzhou/team-a/", profile: team-a}

Of Alibaba that is one of ~/.aliyun/config.json; of dis:// and obs:// places, a
section of Huawei's ~/.huaweicloud/credentials, with ak and sk.

Exit codes: 0 all landed, 1 unclassified, 2 usage, 3 some of many failed,
4 integrity, 5 temporary: run again, 6 credentials, 7 gone or failed at the
source, 8 not ready within --wait, 9 landed with doubts, 10 disk, 11 busy,
12 archive damaged, 130 interrupted.`

// usage makes a failed check of arguments a usage error.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usagef("%w\nSee '%s --help'", err, cmd.CommandPath())
		}
		return nil
	}
}
