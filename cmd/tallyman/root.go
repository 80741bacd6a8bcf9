package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/config"
	"tallyman/cmd/tallyman/internal/logging"
	"tallyman/fetch/hostguard"
	"tallyman/fetch/redact"
	"tallyman/verify/archive"
	"tallyman/worker"
)

// app is one call of the program: its settings, and what several commands do.
type app struct {
	*config.Options
	known func() map[string]*pflag.Flag             // is allSettings
	watch func(http.RoundTripper) http.RoundTripper // wraps the transport of calls, unless nil
	wrong error                                     // what is wrong with the settings; only doctor goes on then

	notice func(text string)        // tells what was found out
	auto   func() hostguard.Network // of --network auto, for all accounts
}

// A subcommand has a name, so that only the one that is called need be made.
type subcommand struct {
	name string
	new  func(*app) *cobra.Command
}

var subcommands = []subcommand{
	{"fetch", newFetchCommand}, {"worker", newWorkerCommand}, {"enqueue", newEnqueueCommand}, {"status", newStatusCommand}, {"coverage", newCoverageCommand},
	{"retry", newRetryCommand}, {"requeue", newRequeueCommand}, {"cancel", newCancelCommand}, {"accept", newAcceptCommand}, {"forget", newForgetCommand}, {"discover", newDiscoverCommand},
	{"verify", newVerifyCommand}, {"witness", newWitnessCommand}, {"ensure", newEnsureCommand}, {"explain", newExplainCommand}, {"ls", newLsCommand}, {"find", newFindCommand}, {"du", newDuCommand},
	{"cat", newCatCommand}, {"export", newExportCommand}, {"init", newInitCommand}, {"demo", newDemoCommand}, {"sandbox", newSandboxCommand},
	{"serve", newServeCommand}, {"health", newHealthCommand}, {"metrics", newMetricsCommand},
	{"doctor", newDoctorCommand}, {"config", newConfigCommand}, {"deploy", newDeployCommand}, {"notify", newNotifyCommand},
	{"version", newVersionCommand},
}

// newRoot returns the program for these arguments: with the one subcommand that they
// begin with, or else with all of them, for help and for a shell that completes. What
// it tells goes to stdout.
func newRoot(stdout io.Writer, args ...string) *cobra.Command {
	a := &app{Options: config.New(providerNames), known: allSettings}
	root := &cobra.Command{
		Use:   "tallyman",
		Short: "Fetch cloud exports, verify them, keep them",
		Long: `Tallyman waits for an export job to finish, streams its result, checks every
byte and every record against what the job promised, and lands it in a local
archive in which nothing unverified can ever be seen.`,
		Example: `  tallyman demo                        # no account needed
  tallyman fetch sls://cn-hangzhou/ali-test-project/download-123
  tallyman discover sls://cn-hangzhou/ali-test-project/ --since 2d | tallyman fetch -f -
  tallyman verify`,
		Annotations:   map[string]string{cli.NotesAnnotation: rootNotes},
		SilenceErrors: true, SilenceUsage: true,
		Args: isCommand,
		RunE: func(cmd *cobra.Command, args []string) error {
			if asked, err := cmd.Flags().GetBool("version"); err == nil && asked {
				return newVersionCommand(a).RunE(cmd, args)
			}
			return cmd.Help()
		},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.prepare(cmd) },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		// The error of --redis must not quote the value, which may hold a password.
		if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok && invalid.GetFlag().Name == "redis" {
			err = fmt.Errorf("--redis: %w", invalid.Unwrap())
		}
		return cli.Usagef("%w%s\nSee '%s --help'", err, flagAdvice(cmd, err), cmd.CommandPath())
	})
	root.SetHelpFunc(cli.ShowHelp)
	root.SetUsageFunc(func(cmd *cobra.Command) error { cli.ShowUsage(cmd.OutOrStdout(), cmd); return nil })
	root.SetOut(stdout) // before the command completion is made, which keeps it
	a.AddCommon(root.PersistentFlags())
	_ = root.MarkPersistentFlagDirname("archive")
	_ = root.MarkPersistentFlagFilename("config", "yaml", "yml")
	isNamed := len(args) > 0 && slices.ContainsFunc(subcommands, func(c subcommand) bool { return c.name == args[0] })
	for _, c := range subcommands {
		if isNamed && c.name != args[0] {
			continue
		}
		cmd := c.new(a)
		cmd.Flags().SortFlags = false
		root.AddCommand(cmd)
		if !isNamed {
			addCompletions(cmd)
		}
	}
	if !isNamed {
		// Not cobra's own, by whose template the linker would keep every exported method.
		root.Flags().Bool("version", false, "version for tallyman")
		root.SetHelpCommand(newHelpCommand(root))
		root.AddCommand(newManCommand(root))
		root.InitDefaultCompletionCmd(args...)
		if completion, err := findCommand(root, []string{"completion"}); err == nil {
			completion.Args, completion.RunE = isCommand, func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
	return root
}

// rootNotes is what the help of the program says of all commands.
const rootNotes = `Each flag can be set in the environment, and in the configuration file that
--config names: --part-size is TALLYMAN_PART_SIZE, and part-size: in the file;
--endpoint sls=URL is TALLYMAN_ENDPOINT_SLS=URL, and endpoint: {sls: URL}. A flag
takes precedence over the environment, and the environment over the file. The
file may also name the profile of credentials, the endpoint and the bucket of DBS
for each place, by the beginning of its references or by a glob:

  places:
    - {match: "sls://cn-*/team-a/", profile: team-a}
    - {match: "dbs://cn-hangzhou/rm-7", dbs-bucket: backups, endpoint: "https://…"}

For Alibaba the profile is one of ~/.aliyun/config.json; for dis:// and obs://
places it is a section of Huawei's ~/.huaweicloud/credentials, with ak and sk.

Exit codes: 0 all landed, 1 unclassified, 2 usage, 3 some of many failed,
4 integrity, 5 temporary: run again, 6 credentials, 7 gone or failed at the
source, 8 not ready within --wait, 9 landed with doubts, 10 disk, 11 busy,
12 archive damaged, 130 interrupted.`

// argumentKinds are what the words in the usage of commands stand for.
var argumentKinds = map[string]string{"REF": "export", "REF[:FILE": "export", "PLACE": "place", "DIR": "directory"}

// usageArgs makes a failed check of arguments a UsageError that says which argument is
// missing, with an example, or that there are too many.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if check(cmd, args) == nil {
			return nil
		}
		_, usage, _ := strings.Cut(cmd.Use, " ")
		kind := argumentKinds[strings.Trim(usage, "[].")]
		switch {
		case len(args) == 0:
			example, _, _ := strings.Cut(cmd.Example, "\n")
			return cli.Usagef("Which %s? Such as: %s\nSee '%s --help'", kind, strings.TrimSpace(example), cmd.CommandPath())
		case kind == "":
			return cli.Usagef("'%s' takes no arguments, and %q is one\nSee '%s --help'", cmd.CommandPath(), args[0], cmd.CommandPath())
		}
		return cli.Usagef("'%s' takes one %s, not %d\nSee '%s --help'", cmd.CommandPath(), kind, len(args), cmd.CommandPath())
	}
}

// newHelpCommand returns the command help, which refuses the name of no command.
func newHelpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND|json|logs]",
		Short: "Show what a command does, or what --json and logs hold",
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) (names []cobra.Completion, _ cobra.ShellCompDirective) {
			for _, cmd := range root.Commands() {
				if len(args) == 0 && cmd.IsAvailableCommand() {
					names = append(names, cobra.CompletionWithDesc(cmd.Name(), cmd.Short))
				}
			}
			if len(args) == 0 {
				names = append(names, cobra.CompletionWithDesc("json", "The fields of all that --json prints"), cobra.CompletionWithDesc("logs", "The keys of logs"))
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(help *cobra.Command, args []string) error {
			switch {
			case slices.Equal(args, []string{"json"}):
				_, err := io.WriteString(help.OutOrStdout(), jsonPage)
				return err
			case slices.Equal(args, []string{"logs"}):
				return logging.Describe(help.OutOrStdout())
			}
			cmd, err := findCommand(root, args)
			if err != nil {
				return err
			}
			cmd.InitDefaultHelpFlag()
			cmd.InitDefaultVersionFlag()
			return cmd.Help()
		},
	}
}

// isCommand is the check of arguments of a command that only has subcommands.
func isCommand(cmd *cobra.Command, args []string) error {
	_, err := findCommand(cmd, args)
	return err
}

// findCommand returns the command with that name and those of its parents, or a
// UsageError with the name that was probably meant.
func findCommand(parent *cobra.Command, names []string) (*cobra.Command, error) {
	cmd, rest, err := parent.Find(names)
	if err == nil && len(rest) == 0 {
		return cmd, nil
	}
	if err != nil || cmd == nil {
		cmd, rest = parent, names
	}
	var known []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			known = append(known, sub.Name())
		}
	}
	return nil, cli.Usagef("unknown command %q for %q%s\nSee '%s --help'", rest[0], cmd.CommandPath(), cli.DidYouMean("", rest[0], known), cmd.CommandPath())
}

// flagAdvice says which flag of cmd was meant by one that is unknown, or else which
// commands have it.
func flagAdvice(cmd *cobra.Command, err error) string {
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok || unknown.GetSpecifiedShortnames() != "" {
		return ""
	}
	name := unknown.GetSpecifiedName()
	var known, owners []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
	for _, other := range newRoot(io.Discard).Commands() {
		if other.Flags().Lookup(name) != nil {
			owners = append(owners, other.Name())
		}
	}
	if len(owners) > 0 {
		return fmt.Sprintf(" (it is one of %s)", strings.Join(owners, ", "))
	}
	return cli.DidYouMean("--", name, known)
}

// debugWords are the words in the variable DEBUG that make libraries of the
// vendors print the headers they send to stdout, with keys and tokens. They
// read it before main begins, so it is too late to unset it here.
var debugWords = []string{"dara", "tea", "sdk", "signer", "credential"}

// prepare completes the settings before cmd runs. It returns a UsageError if one
// is wrong, or if a library would print credentials. A command that only tells
// about commands works even then.
func (a *app) prepare(cmd *cobra.Command) error {
	for c := cmd; c.HasParent(); c = c.Parent() {
		switch c.Name() {
		case "completion", "help", "version", "man", "schema", cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd:
			return nil
		}
	}
	for _, word := range strings.Split(os.Getenv("DEBUG"), ",") {
		if slices.Contains(debugWords, word) {
			return cli.Usagef("DEBUG=%s would print credentials: unset DEBUG", word)
		}
	}
	if runtime.GOOS == "windows" {
		return cli.Usagef("tallyman does not run on Windows, whose directories can't be made durable and whose file names have no colon: run it in WSL 2")
	}
	if a.wrong = a.Complete(cmd.Flags(), allSettings); a.wrong != nil && cmd.Name() != "doctor" {
		return a.wrong
	}
	a.notice, a.auto = func(string) {}, sync.OnceValue(a.autoNetwork)
	if !a.Quiet {
		a.notice = func(text string) { fmt.Fprintln(cmd.ErrOrStderr(), "tallyman:", redact.Text(text)) }
		for _, warning := range a.Warnings {
			fmt.Fprintln(cmd.ErrOrStderr(), "tallyman: warning:", warning)
		}
	}
	// What libraries have to say, such as net/http, is for the debug log.
	debug := a.newLogger(cmd)
	log.SetFlags(0)
	log.SetOutput(&cli.LibraryLog{To: debug})
	worker.SetRedisLogger(debug)
	return nil
}

// allSettings are the flags of every command, by name, which the configuration file may
// set, but for those that say what a single call is to do. Their values belong to no
// command that runs.
func allSettings() map[string]*pflag.Flag {
	known := map[string]*pflag.Flag{}
	root := newRoot(io.Discard)
	for _, each := range append(root.Commands(), root) {
		add := func(f *pflag.Flag) { known[config.SettingOf(f)] = f }
		each.Flags().VisitAll(add)
		each.PersistentFlags().VisitAll(add)
	}
	for _, name := range []string{"config", "file", "help", "version", trialFlag} {
		delete(known, name)
	}
	return known
}

// addCompletions adds the values that a shell offers for flags other than
// files.
func addCompletions(cmd *cobra.Command) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		var values []string
		if kind := f.Value.Type(); strings.Contains(kind, "|") {
			values = strings.Split(kind, "|")
		}
		switch f.Name {
		case "since":
			values = []string{"1d", "2d", "7d", "yesterday", "fri"}
		case "phase":
			values = []string{"landed", "waiting", "failed", "cancelled", "damaged", "absent", "removed", "all"}
		case "state":
			values = []string{"ready", "running", "pending", "failed", "expired", "unknown"}
		}
		if values != nil {
			_ = cmd.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
		}
	})
	if cmd.ValidArgsFunction == nil {
		cmd.ValidArgsFunction = cobra.NoFileCompletions // references are no files
	}
}

// newReport returns a report of what cmd does with exports of store.
func (a *app) newReport(cmd *cobra.Command, store *archive.Archive) *cli.Report {
	return cli.NewReport(cmd.OutOrStdout(), cmd.ErrOrStderr(), cli.Output{
		JSON: a.JSON, Quiet: a.Quiet, Verbose: a.Verbose, DryRun: a.DryRun, Many: a.References != "", Hint: hint,
	}, store)
}
