package main

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"os/user"

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/fetch"
	"tallyman/fetch/redact"
	"tallyman/verify/archive"
	"tallyman/worker"
)

func newForgetCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "forget REF... | -f FILE | --cause CAUSE",
		Short: "Take exports that will never come out of the lists",
		Long: `Forget takes exports out of all lists: those that are named, or all that failed by
one cause. The ledger keeps who did so, when, and why. What is forgotten is settled
for the schedule, 'discover --missing', 'enqueue' and 'retry --all', and 'verify'
does not miss it; only 'tallyman fetch REF' by name brings it back. What was received
of it is freed, and a damaged bag is put aside in .damaged.

With --delete, bags are deleted too, those that landed among them. What a hold: of
the configuration file names is never deleted. A deletion that is cut short is
finished by the next run.`,
		Example: `  tallyman forget --reason 'expired over the weekend' --cause job-expired
  tallyman forget --reason 'not ours' sls://cn-hangzhou/ali-test-project/download-123
  tallyman forget --delete --reason 'holds personal data' oss://my-bucket/users/`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.forget(cmd, args) },
	}
	f := cmd.Flags()
	a.AddReferences(f)
	f.StringVar(&a.Cause, "cause", "", "forget what has failed by `CAUSE`, as status shows it")
	f.StringVar(&a.Reason, "reason", "", "the `TEXT` that the ledger keeps of why; it must be given")
	f.BoolVar(&a.Delete, "delete", false, "delete the bags too")
	f.BoolVar(&a.DryRun, "dry-run", false, "say what would be done, and do nothing")
	f.BoolVar(&a.Yes, "yes", false, "do not ask")
	_ = f.MarkHidden("again")
	cli.GroupFlags(f, "What to forget", "file", "cause", "reason", "delete", "dry-run", "yes")
	a.AddQueue(f)
	a.AddAllowHost(f)
	completeCauses(cmd)
	return cmd
}

// settling opens the archive for a command that settles exports for a reason, and finds
// these: those that are named, or those that failed by --cause.
func (a *app) settling(cmd *cobra.Command, args []string) (*archive.Archive, iter.Seq2[fetch.Ref, error], error) {
	if a.Reason == "" {
		return nil, nil, cli.Usagef("Say why, by --reason TEXT: the ledger keeps it.\nSee '%s --help'", cmd.CommandPath())
	}
	if a.Cause != "" && len(args) > 0 {
		return nil, nil, cli.Usagef("Name exports, or use --cause, but not both.")
	}
	if err := a.checkCause(); err != nil {
		return nil, nil, err
	}
	store, err := a.openRequired()
	if err != nil {
		return nil, nil, err
	}
	if a.Cause != "" {
		return store, (&worker.Client{Archive: store}).Failed(worker.Cause(a.Cause)), nil
	}
	refs, err := a.references(cmd, args, a.newProviders())
	return store, refs, err
}

// person is the name of who runs the command, for the ledger.
func person() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return fmt.Sprintf("user %d", os.Getuid())
}

// removedLine is what --json prints of an export that is forgotten.
type removedLine struct {
	Schema    string             `json:"schema"`
	Reference string             `json:"reference"`
	State     string             `json:"state"` // "removed"; with --dry-run "to-remove"
	Was       worker.ExportState `json:"was"`
	Cause     worker.Cause       `json:"cause,omitempty"`
	Deleted   bool               `json:"deleted"`
	By        string             `json:"by"`
	Reason    string             `json:"reason"`
}

func (a *app) forget(cmd *cobra.Command, args []string) error {
	a.Reason = redact.Text(a.Reason) // it is kept for ever
	store, refs, err := a.settling(cmd, args)
	if err != nil {
		return err
	}
	client := &worker.Client{Archive: store}
	if a.Redis.Value != "" {
		queue, stop, err := a.openQueue(cmd, store, nil, 0)
		if err != nil {
			return err
		}
		defer stop()
		client.Queue = queue
	}
	report := a.newReport(cmd, store)
	all, err := collect(cmd.Context(), refs, report)
	if err != nil {
		return err
	}
	for _, ref := range all {
		if hold := a.HeldBy(ref); hold != "" && a.Delete {
			return cli.Usagef("%s is kept from deletion by hold: %s in the configuration file", ref, hold)
		}
	}
	if len(all) == 0 && a.Cause != "" && !a.Quiet {
		fmt.Fprintf(cmd.ErrOrStderr(), "nothing has failed by %s\n", a.Cause)
	}
	if err := a.confirmRemoval(cmd, len(all)); err != nil {
		return err
	}
	status, _ := (&worker.Client{Archive: store}).Status(cmd.Context()) // it fails by the queue alone
	for _, ref := range all {
		was, err := status.Export(ref)
		if err == nil && !a.DryRun {
			err = client.Remove(cmd.Context(), ref, archive.Removal{By: person(), Reason: a.Reason, Delete: a.Delete})
		} else if err == nil && was.Receipt != nil && !a.Delete {
			err = archive.ErrLanded
		}
		if errors.Is(err, archive.ErrLanded) {
			err = cli.Usagef("%s has landed, and is whole: to delete it, use --delete", ref)
		}
		if err != nil {
			report.End(ref, nil, usageError(ref, err))
			continue
		}
		line := removedLine{"tallyman.removed/v1", ref.String(), "removed", was.State, was.Cause, a.Delete, person(), a.Reason}
		text := "removed   "
		if a.DryRun {
			line.State, text = "to-remove", "to remove "
		}
		text += line.Reference + "  it was " + describe(was)
		if a.Delete {
			text += "; its bag is deleted"
		}
		report.Settled(line, text)
	}
	return report.Exit()
}

// confirmRemoval asks whether exports are to be removed, if that is more than one or their
// bags go with them. It fails with errDeclined if not.
func (a *app) confirmRemoval(cmd *cobra.Command, exports int) error {
	if exports == 0 || exports == 1 && !a.Delete || a.Yes || a.DryRun {
		return nil
	}
	question := fmt.Sprintf("Take %s out of the lists", cli.Plural(int64(exports), "export"))
	if a.Delete {
		question += ", and delete the bags"
	}
	yes, err := cli.Confirm(cmd.Context(), cmd.InOrStdin(), cmd.ErrOrStderr(), question+"?")
	if err == nil && !yes {
		err = errDeclined
	}
	return err
}

// describe says how an export stood.
func describe(s worker.Status) string {
	if s.Cause != "" && string(s.Cause) != string(s.State) {
		return fmt.Sprintf("%s: %s", s.State, s.Cause)
	}
	return string(s.State)
}
