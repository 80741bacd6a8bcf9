package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/fetch"
	"tallyman/fetch/redact"
	"tallyman/verify"
	"tallyman/verify/archive"
	"tallyman/verify/archive/catalog"
	"tallyman/verify/archive/coverage"
	"tallyman/verify/archive/ledger"
	"tallyman/worker"
)

func newWitnessCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "witness REF|PLACE...",
		Short: "Hold what landed against the source's own count",
		Long: `Witness asks the source how many rows the window of an export has, by a call that has
nothing to do with the export, and compares that with the rows that landed. What it
finds is written into the ledger. Fewer rows than the source counts are a doubt of the
export (exit code 9): late-rows within 7 days of the window's end, since rows may still
have arrived after the job ran, and later witness-mismatch. More rows are one only
where the source still has and counts all of the window.

SLS alone counts so, by the histogram of a log store, and only what a query without
SQL selects; "| select *" counts as none. Each call costs money: two for each export,
and up to four more where the numbers differ. --dry-run says how many.`,
		Example: `  tallyman witness sls://cn-hangzhou/ali-test-project/ --logstore access --dry-run
  tallyman witness sls://cn-hangzhou/ali-test-project/download-123
  tallyman witness sls://cn-hangzhou/ali-test-project/ --since 8d --json`,
		Args:              usageArgs(cobra.MinimumNArgs(1)),
		ValidArgsFunction: a.completePlaces,
		RunE:              func(cmd *cobra.Command, args []string) error { return a.witness(cmd, args) },
	}
	f := cmd.Flags()
	a.AddSince(f, "what landed")
	f.StringVar(&a.LogStore, "logstore", "", "only the exports of this `LOGSTORE`")
	f.StringVar(&a.Query, "query", "", "of a log store, only the exports of this `QUERY` (default: all)")
	f.BoolVar(&a.DryRun, "dry-run", false, "say how many windows would be counted, and ask nobody")
	cli.GroupFlags(f, "What to hold against its source", "since", "logstore", "query", "dry-run")
	a.AddWitness(f)
	a.AddCalls(f)
	a.AddCatalog(f)
	return cmd
}

// witnessLine is what --json prints of an export and its source's count.
type witnessLine struct {
	Schema    string     `json:"schema"`
	Reference string     `json:"reference"` // of an export, or of the place of which nothing can be counted
	Key       string     `json:"key,omitempty"`
	State     string     `json:"state"`             // a verdict of the ledger, or "no-witness", "failed" or "to-count"
	Landed    *int64     `json:"landed,omitempty"`  // records that landed, without headers
	Counted   *int64     `json:"counted,omitempty"` // records that the source counts
	From      *time.Time `json:"from,omitempty"`    // the window
	To        *time.Time `json:"to,omitempty"`
	Group     string     `json:"group,omitempty"`  // of the window
	Header    int64      `json:"header,omitempty"` // how many exports the header of the group's CSV files is known from
	Message   string     `json:"message,omitempty"`
	Calls     int        `json:"calls,omitempty"` // that were made, or with --dry-run would at least be
	RequestID string     `json:"request_id,omitempty"`
	Command   string     `json:"command,omitempty"` // that exports the window anew
	Cause     string     `json:"cause,omitempty"`   // of a call that failed
}

// callsPerCount is how many calls a count takes at least: it is made until it is complete, and
// once more.
const callsPerCount = 2

// A landedExport is one that a witness is asked about.
type landedExport struct {
	ref    fetch.Ref
	window *ledger.Window
}

// newTestifier asks the providers about what landed in an archive.
func newTestifier(store *archive.Archive, providers map[string]fetch.Provider, events func(key string) ([]ledger.Line, error), header func(place, group, sha256 string) (int64, error)) *worker.Testifier {
	witness := func(ref fetch.Ref) (fetch.Witness, bool) { return serviceOf[fetch.Witness](providers, ref) }
	return &worker.Testifier{Archive: store, Witness: witness, Events: events, Header: header}
}

// serviceOf is the provider of a reference as what it can do besides, if it can.
func serviceOf[T any](providers map[string]fetch.Provider, ref fetch.Ref) (service T, ok bool) {
	provider := providers[ref.Scheme()]
	if each, isForAll := provider.(interface {
		provider(ref fetch.Ref, scheme string) fetch.Provider
	}); isForAll {
		provider = each.provider(ref, ref.Scheme())
	}
	service, ok = provider.(T)
	return service, ok
}

// witnessCommand is a run of the command.
type witnessCommand struct {
	*worker.Testifier
	app            *app
	stdout, stderr io.Writer
	catalog        *catalog.Catalog
	named          map[string]bool               // places that are said to have no witness
	firsts         map[[2]string]coverage.Firsts // by place and group
	asked, calls   int
	doubts, failed int
	exit           int // of the last that failed
}

func (a *app) witness(cmd *cobra.Command, args []string) error {
	if a.Query != "" && a.LogStore == "" {
		return cli.Usagef("--query goes with --logstore")
	}
	if err := errors.Join(a.CheckCalls(), a.CheckWitness(), a.CheckProxies()); err != nil {
		return err
	}
	store, err := a.openRequired()
	if err != nil {
		return err
	}
	known, err := a.openCatalog(cmd, store)
	if err != nil {
		return err
	}
	defer known.Close()
	filters, err := filtersOf(known, args)
	if err != nil {
		return err
	}
	c := &witnessCommand{app: a, catalog: known, stdout: cmd.OutOrStdout(), stderr: cmd.ErrOrStderr(), named: map[string]bool{}, firsts: map[[2]string]coverage.Firsts{}}
	c.Testifier = newTestifier(store, a.newProviders(), known.Events, c.headerIs)
	for _, f := range filters {
		f.Phases, f.Since = []catalog.Phase{catalog.Landed}, a.Since.Value
		var exports []landedExport // read before the ledger is written, which the catalog follows
		for e, err := range known.Exports(f) {
			if err != nil {
				return err
			}
			if ref, ok := fetch.RefAt(e.Key, e.Ref); ok && a.wantsWindow(e.Window) {
				exports = append(exports, landedExport{ref, e.Window})
			}
		}
		for _, e := range exports {
			if err := c.hold(cmd.Context(), e); err != nil {
				return err
			}
		}
	}
	return errors.Join(c.end(), cutOf(known))
}

// wantsWindow reports whether --logstore and --query let a window pass.
func (a *app) wantsWindow(w *ledger.Window) bool {
	switch {
	case a.LogStore == "":
		return true
	case w == nil:
		return false
	case a.Query != "":
		return w.Group == windowGroup(a.LogStore, a.Query)
	}
	return len(w.Group) > len(a.LogStore) && w.Group[:len(a.LogStore)+1] == a.LogStore+" "
}

// hold holds an export against its source, and prints what comes of that.
func (c *witnessCommand) hold(ctx context.Context, e landedExport) error {
	line := witnessLine{Schema: "tallyman.witness/v1", Reference: e.ref.String(), Key: e.ref.Key()}
	if e.window != nil {
		line.Group, line.From, line.To = e.window.Group, new(time.Unix(e.window.From, 0).UTC()), new(time.Unix(e.window.To, 0).UTC())
	}
	_, countable := c.Witness(e.ref)
	switch place := e.ref.PlaceText(); {
	case !countable && c.named[place]:
		return nil
	case !countable:
		c.named[place] = true
		return c.print(witnessLine{Schema: line.Schema, Reference: place, State: "no-witness", Message: worker.ErrNoWitness.Error()})
	case c.app.DryRun:
		c.asked, c.calls = c.asked+1, c.calls+callsPerCount
		line.State, line.Calls = "to-count", callsPerCount
		return c.print(line)
	}
	testimony, calls, err := c.Testify(ctx, e.ref, e.window)
	c.asked, c.calls, line.Calls = c.asked+1, c.calls+calls, calls
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		outcome := worker.Classify(err)
		c.failed, c.exit = c.failed+1, outcome.Exit
		line.State, line.Message, line.Cause = "failed", redact.Text(err.Error()), string(outcome.Cause)
		return c.print(line)
	}
	firsts, err := c.firstsOf(e.ref.PlaceText(), line.Group)
	if err != nil {
		return err
	}
	line.Header = firsts.Header()
	verdict, text := testimony.Judge()
	line.State, line.Message, line.RequestID = string(verdict), redact.Text(text), testimony.RequestID
	for to, n := range map[**int64]int64{&line.Landed: testimony.Landed, &line.Counted: testimony.Counted} {
		if n != verify.Unknown {
			*to = &n
		}
	}
	if verdict.IsDoubt() {
		c.doubts++
		line.Command = ensureAgain(e)
	}
	return c.print(line)
}

// firstsOf is what the CSV files of a group begin with, as it was when the command began.
func (c *witnessCommand) firstsOf(place, group string) (coverage.Firsts, error) {
	known, ok := c.firsts[[2]string{place, group}]
	if ok {
		return known, nil
	}
	firsts, err := coverage.FirstsOf(c.catalog, place, group)
	c.firsts[[2]string{place, group}] = firsts
	return firsts, err
}

func (c *witnessCommand) headerIs(place, group, sha256 string) (int64, error) {
	firsts, err := c.firstsOf(place, group)
	return firsts.HeaderIs(sha256), err
}

// ensureAgain is the command that exports the window of an export anew.
func ensureAgain(e landedExport) string {
	logStore, query, err := splitWindowGroup(e.window.Group)
	if err != nil {
		return ""
	}
	from, to := time.Unix(e.window.From, 0).UTC(), time.Unix(e.window.To, 0).UTC()
	text := "tallyman ensure " + cli.ShellQuote(e.ref.PlaceText()) + " --again --logstore " + cli.ShellQuote(logStore)
	if query != "*" {
		text += " --query " + cli.ShellQuote(query)
	}
	return fmt.Sprintf("%s --window %s --since %s --until %s", text, flagvalue.FormatDuration(to.Sub(from)), from.Format(time.RFC3339), to.Format(time.RFC3339))
}

func (c *witnessCommand) print(line witnessLine) error {
	if c.app.JSON {
		return cli.PrintJSON(c.stdout, line)
	}
	quiet := c.app.Quiet && line.State != string(archive.LateRows) && line.State != string(archive.WitnessMismatch) && line.State != "failed"
	if quiet {
		return nil
	}
	text := fmt.Sprintf("%-16s  %s", line.State, line.Reference)
	if line.From != nil {
		text += fmt.Sprintf("  %s to %s", line.From.Format(time.RFC3339), line.To.Format(time.RFC3339))
	}
	if line.Message != "" {
		text += "  " + line.Message
	}
	if _, err := fmt.Fprintln(c.stdout, text); err != nil {
		return &cli.OutputError{Err: err}
	}
	if line.Command != "" {
		cli.PrintHint(c.stderr, "to export it anew: "+line.Command)
	}
	return nil
}

// printHeaders says of which groups the header is known, by which their rows were counted.
func (c *witnessCommand) printHeaders() {
	keys := slices.SortedFunc(maps.Keys(c.firsts), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
	for _, key := range keys {
		firsts := c.firsts[key]
		if exports := firsts.Header(); exports > 0 {
			fmt.Fprintf(c.stderr, "%s  %s: header known from %s\n", redact.URL(key[0]), redact.Text(key[1]), cli.Plural(exports, "export"))
		}
	}
}

func (c *witnessCommand) end() error {
	if !c.app.Quiet {
		c.printHeaders()
		does := "took"
		if c.app.DryRun {
			does = "would take at least"
		}
		fmt.Fprintf(c.stderr, "%s, which %s %s; %d in doubt, %d failed\n", cli.Plural(int64(c.asked), "export"), does, cli.Plural(int64(c.calls), "call"), c.doubts, c.failed)
	}
	switch {
	case c.failed > 0 && c.asked > 1:
		return cli.ExitError(worker.ExitSomeFailed)
	case c.failed > 0:
		return cli.ExitError(c.exit)
	case c.doubts > 0:
		return cli.ExitError(worker.ExitDoubts)
	}
	return nil
}
