package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/notify"
	"tallyman/fetch/redact"
	"tallyman/verify/archive"
	"tallyman/worker"
)

func newNotifyCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "notify",
		Short: "Try those whom workers tell of what happens",
		Long: `Workers tell the targets of notify: in the configuration file what happens in the
archive, each thing once however many workers there are:

  notify:
    - {by: dingtalk, url-file: /etc/tallyman/dingtalk, secret-file: /etc/tallyman/dingtalk-key}
    - {by: mail, server: "smtp.example.com:587", from: tallyman@example.com, to: ops@example.com,
       user: tallyman, password-file: /etc/tallyman/mail-password, on: [damage, daily], at: "08:00"}
    - {by: command, command: /usr/local/bin/page-someone, on: [damage, failed, all-clear]}
    - {by: ping, url-env: PING_URL, every: 5m}

By is mail, command, webhook, dingtalk, feishu, wecom or slack; a ping asks for a URL
while a worker is well, so that whoever serves it notices if none is. On is some of:

  damage     an export, or the ledger, is damaged or gone
  failed     an export was given up
  unlisted   a place can't be listed
  gap        by expect: in the file, something is late or has gaps
  doubt      an export landed, and is to be looked at twice
  all-clear  nothing is wrong any more of what was told
  daily      once a day, at a time of the day, what landed and what is wrong

Without on, all but daily. What happens within gather (30s) is one message, and a
target gets none within interval (5m) of another.`,
		Example: `  tallyman notify test`,
		Args:    isCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "test [NAME...]",
		Short: "Send a message to each target, or to those named",
		Long: `Test sends a message to each target of notify: in the configuration file, or to those
that are named, and says whether it was taken. It exits with 1 if one was not.`,
		Example: `  tallyman notify test
  tallyman notify test dingtalk --config /etc/tallyman/config.yaml`,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return a.targetNames(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.testNotify(cmd, args) },
	})
	return cmd
}

// targetNames are the names of the targets of the configuration file.
func (a *app) targetNames() (names []string) {
	for _, t := range a.Notify {
		names = append(names, t.Name)
	}
	return names
}

// notifiedLine is what --json prints of a target.
type notifiedLine struct {
	Schema  string         `json:"schema"`
	Target  string         `json:"target"`
	By      notify.Service `json:"by"`
	State   string         `json:"state"` // "sent" or "failed"
	Message string         `json:"message,omitempty"`
}

var errNoTargets = errors.New("the configuration file has no notify: see tallyman notify --help")

func (a *app) testNotify(cmd *cobra.Command, names []string) error {
	if len(a.Notify) == 0 {
		return &cli.UsageError{Err: errNoTargets}
	}
	known := a.targetNames()
	for _, name := range names {
		if !slices.Contains(known, name) {
			return cli.Usagef("the configuration file has no target %s%s", name, cli.DidYouMean("", name, known))
		}
	}
	m := notify.Message{ID: "test", Title: "Tallyman: a test", Topics: []notify.Topic{notify.Test}, Lines: []string{"If you can read this, it works."}}
	if store, err := a.openExisting(); err == nil && store != nil {
		m.Archive = store.ID()
	}
	failed := false
	for _, t := range a.Notify {
		if len(names) > 0 && !slices.Contains(names, t.Name) {
			continue
		}
		line := notifiedLine{"tallyman.notified/v1", t.Name, t.By, "sent", ""}
		if err := t.Send(cmd.Context(), m); err != nil {
			line.State, line.Message, failed = "failed", redact.Text(err.Error()), true
		}
		if err := a.printNotified(cmd, line); err != nil {
			return err
		}
	}
	if failed {
		return cli.ExitError(worker.ExitUnknown)
	}
	return nil
}

func (a *app) printNotified(cmd *cobra.Command, line notifiedLine) error {
	switch {
	case a.JSON:
		return cli.PrintJSON(cmd.OutOrStdout(), line)
	case line.State == "failed":
		_, err := fmt.Fprintf(cmd.ErrOrStderr(), "tallyman: %s\n", line.Message)
		return err
	case a.Quiet:
		return nil
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%-6s  %s\n", line.State, line.Target)
	return err
}

// startNotifying has the targets of the configuration file told what happens in the
// archive, until end is called. What is not told by then is told by the next worker.
func (a *app) startNotifying(ctx context.Context, store *archive.Archive, queue *worker.Queue, log *slog.Logger) (end func()) {
	if len(a.Notify) == 0 {
		return func() {}
	}
	ready := &readiness{archive: store, queue: queue, isWorker: true}
	name := a.Archive
	if absolute, err := filepath.Abs(name); err == nil {
		name = absolute
	}
	w := &notify.Watcher{
		Archive: store, Name: name, Catalog: a.followOptions(), Expect: a.expectations(), Hints: vainInShort, Targets: a.Notify, Log: log,
		Well: func(ctx context.Context) error { return unwell(ctx, ready) },
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); w.Run(ctx) }()
	return func() { cancel(); <-done }
}

// wellTimeout is for looking whether the worker is well.
const wellTimeout = 10 * time.Second

// unwell says why the worker is not well, or is nil.
func unwell(ctx context.Context, r *readiness) error {
	ctx, cancel := context.WithTimeout(ctx, wellTimeout)
	defer cancel()
	for _, c := range r.check(ctx).Checks {
		if !c.OK {
			return fmt.Errorf("the worker is not well: %s: %s", c.Check, c.Detail)
		}
	}
	return nil
}
