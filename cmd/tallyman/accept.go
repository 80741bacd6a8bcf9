package main

import (
	"fmt"
	"iter"
	"strings"

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/fetch"
	"tallyman/fetch/redact"
	"tallyman/verify/archive"
	"tallyman/verify/archive/ledger"
	"tallyman/worker"
)

func newAcceptCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "accept REF... | PLACE | --cause CAUSE",
		Short: "Take a doubt, a failure or a gap as it is",
		Long: `Accept writes down, with a reason, that a person has seen what is wrong and takes it
as it is: the doubts with which an export landed, its failure, that a place can't be
listed, or with --from and --to that a place lacks that time. Status still shows it,
counted apart, and it is red no longer.

It holds for what is wrong now, never for what comes later: other doubts, another
failure, another error of the place.`,
		Example: `  tallyman accept --reason 'counted by hand' sls://cn-hangzhou/ali-test-project/download-123
  tallyman accept --reason 'known outage' --cause job-failed
  tallyman accept --reason 'the project moved' sls://cn-hangzhou/old-project/
  tallyman accept --reason 'no logs' sls://cn-hangzhou/p/ --from 2026-11-01 --to 2026-11-02`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.accept(cmd, args) },
	}
	a.From = flagvalue.New("TIME", "", flagvalue.ParseTime)
	a.To = flagvalue.New("TIME", "", flagvalue.ParseTime)
	f := cmd.Flags()
	f.StringVar(&a.Cause, "cause", "", "accept what has failed by `CAUSE`, as status shows it")
	f.StringVar(&a.Reason, "reason", "", "the `TEXT` that the ledger keeps of why; it must be given")
	f.StringVar(&a.LogStore, "logstore", "", "of a place, only the exports of this `LOGSTORE`")
	f.StringVar(&a.Query, "query", "", "of a log store, only the exports of this `QUERY`")
	f.Var(&a.From, "from", "that a place lacks the time from `TIME`, with --to")
	f.Var(&a.To, "to", "that a place lacks the time before `TIME`, with --from")
	f.BoolVar(&a.DryRun, "dry-run", false, "say what would be accepted, and write nothing down")
	cli.GroupFlags(f, "What to accept", "cause", "reason", "logstore", "query", "from", "to", "dry-run")
	a.AddAllowHost(f)
	completeCauses(cmd)
	return cmd
}

// acceptedLine is what --json prints of what is accepted.
type acceptedLine struct {
	Schema    string         `json:"schema"`
	Reference string         `json:"reference"` // of an export or of a place
	State     string         `json:"state"`     // "accepted"; with --dry-run "to-accept"
	Doubts    []string       `json:"doubts,omitempty"`
	Cause     string         `json:"cause,omitempty"`
	Message   string         `json:"message,omitempty"`
	Window    *ledger.Window `json:"window,omitempty"`
	By        string         `json:"by"`
	Reason    string         `json:"reason"`
}

func (a *app) accept(cmd *cobra.Command, args []string) error {
	a.Reason = redact.Text(a.Reason) // it is kept for ever
	if a.From.Value.IsZero() != a.To.Value.IsZero() || !a.From.Value.IsZero() && !a.From.Value.Before(a.To.Value) {
		return cli.Usagef("--from and --to go together, and --from is the earlier")
	}
	if a.Query != "" && a.LogStore == "" || a.LogStore != "" && a.From.Value.IsZero() {
		return cli.Usagef("--query goes with --logstore, and that with --from and --to")
	}
	var places []fetch.Ref
	var exports []string
	for _, arg := range args {
		place, err := fetch.ParsePlace(arg)
		switch {
		case err == nil:
			places = append(places, place)
		case !a.From.Value.IsZero():
			return cli.Usagef("--from and --to are of a place, and %s is none", redact.URL(arg))
		default:
			exports = append(exports, arg)
		}
	}
	store, refs, err := a.acceptable(cmd, exports, len(places) > 0)
	if err != nil {
		return err
	}
	report := a.newReport(cmd, store)
	for _, place := range places {
		acceptance, err := a.ofPlace(store, place)
		a.acceptOne(store, report, place, acceptance, err)
	}
	if refs == nil {
		return report.Exit()
	}
	status, _ := (&worker.Client{Archive: store}).Status(cmd.Context()) // it fails by the queue alone
	all, err := collect(cmd.Context(), refs, report)
	if err != nil {
		return err
	}
	for _, ref := range all {
		acceptance, err := ofExport(store, status, ref)
		a.acceptOne(store, report, ref, acceptance, usageError(ref, err))
	}
	return report.Exit()
}

// acceptable is settling, of exports that need not be named if a place is.
func (a *app) acceptable(cmd *cobra.Command, exports []string, hasPlaces bool) (*archive.Archive, iter.Seq2[fetch.Ref, error], error) {
	if hasPlaces && len(exports) == 0 && a.Cause == "" && a.Reason != "" {
		store, err := a.openRequired()
		return store, nil, err
	}
	return a.settling(cmd, exports)
}

// ofPlace is what can be accepted of a place.
func (a *app) ofPlace(store *archive.Archive, place fetch.Ref) (archive.Acceptance, error) {
	c := archive.Acceptance{Reference: place.String()}
	if !a.From.Value.IsZero() {
		c.Window = &ledger.Window{From: a.From.Value.Unix(), To: a.To.Value.Unix()}
		if a.LogStore != "" {
			c.Window.Group = windowGroup(a.LogStore, a.Query)
		}
		return c, nil
	}
	return ofUnlisted(store, place)
}

// ofUnlisted is the error by which a place can't be listed.
func ofUnlisted(store *archive.Archive, place fetch.Ref) (archive.Acceptance, error) {
	c := archive.Acceptance{Reference: place.String()}
	last, err := store.Ledger().Last(ledger.Listed, c.Reference)
	if err == nil && (last == nil || last.Message == "") {
		err = cli.Usagef("%s: there is nothing to accept: it could be listed when that was last tried; a time that it lacks is accepted by --from and --to", place)
	}
	if err == nil {
		c.Cause, c.Message = last.Cause, last.Message
	}
	return c, err
}

// ofExport is what can be accepted of an export.
func ofExport(store *archive.Archive, status *worker.StatusReader, ref fetch.Ref) (archive.Acceptance, error) {
	s, err := status.Export(ref)
	c := archive.Acceptance{Reference: ref.String(), Key: ref.Key()}
	if err == nil && s.Receipt != nil {
		c.Doubts, err = store.Doubts(s.Receipt)
	}
	switch {
	case err != nil:
	case len(c.Doubts) > 0:
	case s.Receipt != nil:
		err = cli.Usagef("%s: there is nothing to accept: it landed without a doubt", ref)
	case s.State == worker.StateFailed && s.Record == nil:
		err = cli.Usagef("%s: what is damaged or gone is not accepted as it is: put it back, repair it by 'tallyman verify --repair', or forget it", ref)
	case s.State == worker.StateFailed:
		c.Cause, c.Message = s.Record.Cause, s.Record.Message
	default:
		err = cli.Usagef("%s: there is nothing to accept: it is %s", ref, s.State)
	}
	return c, err
}

// acceptOne accepts what can be, and reports it.
func (a *app) acceptOne(store *archive.Archive, report *cli.Report, ref fetch.Ref, c archive.Acceptance, err error) {
	c.By, c.Reason = person(), a.Reason
	if err == nil && !a.DryRun {
		err = store.Accept(c)
	}
	if err != nil {
		report.End(ref, nil, err)
		return
	}
	what := strings.Join(c.Doubts, "; ")
	switch {
	case c.Window != nil:
		what = fmt.Sprintf("it lacks the time from %s to %s", &a.From, &a.To)
	case c.Message != "":
		what = redact.Text(c.Cause + ": " + c.Message)
	}
	line := acceptedLine{"tallyman.accepted/v1", c.Reference, "accepted", c.Doubts, c.Cause, redact.Text(c.Message), c.Window, c.By, c.Reason}
	text := "accepted  "
	if a.DryRun {
		line.State, text = "to-accept", "to accept "
	}
	report.Settled(line, text+c.Reference+"  "+redact.Text(what))
}
