package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/fetch/redact"
	"tallyman/verify/archive"
	"tallyman/verify/archive/catalog"
	"tallyman/worker"
)

func newLsCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ls [PLACE...]",
		Short: "List what landed in the archive",
		Long: `Ls prints a line of each export that landed: when, how many bytes and records it
has, and its reference. It lists the places that are named, the exports, or those
whose references begin so; without any, it lists all. What is damaged or gone is
marked. With -q it prints the references alone.

It reads the catalog, an index of the archive's ledger in the user's directory of
caches. The catalog is made when it is first needed, and may be removed.`,
		Example: `  tallyman ls
  tallyman ls sls://cn-hangzhou/ali-test-project/
  tallyman ls oss://my-bucket/logs/2026-`,
		ValidArgsFunction: a.completePlaces,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.list(cmd, args, catalog.Filter{Phases: []catalog.Phase{catalog.Landed, catalog.Damaged, catalog.Absent}}, printExport)
		},
	}
	a.AddCatalog(cmd.Flags())
	return cmd
}

func newFindCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "find [PLACE...]",
		Short: "Find exports by what the archive knows of them",
		Long: `Find prints the reference of each export that meets all that is asked, one a line:
for fetch -f - and others, or with --json all that is known of it. Without --phase
it looks among those that landed.

Times are those when an export landed or, if it has not, when it last changed.`,
		Example: `  tallyman find --since fri
  tallyman find --doubt --place sls://cn-hangzhou/ali-test-project/
  tallyman find --records 0 --match 'nightly-*'
  tallyman find --phase failed --cause network | tallyman fetch -f -
  tallyman find --phase all --text AccessDenied --json`,
		ValidArgsFunction: a.completePlaces,
		RunE: func(cmd *cobra.Command, args []string) error {
			filter, err := a.findFilter()
			if err != nil {
				return err
			}
			return a.list(cmd, append(args, a.InPlaces...), filter, func(w io.Writer, e catalog.Export) error {
				_, err := fmt.Fprintln(w, e.Ref)
				return err
			})
		},
	}
	a.Until = flagvalue.New("TIME", "", flagvalue.ParseTime)
	a.Phases = flagvalue.New("PHASE", "", flagvalue.ParsePhases)
	a.Records = flagvalue.New("N", "", flagvalue.ParseRange)
	f := cmd.Flags()
	a.AddSince(f, "what landed or changed")
	f.Var(&a.Until, "until", "only what landed or changed before `TIME`")
	f.Var(&a.Records, "records", "only with `N` records; 5.. is five or more, ..5 at most five")
	f.BoolVar(&a.Doubts, "doubt", false, "only with doubts that nobody has accepted")
	f.StringSliceVar(&a.InPlaces, "place", nil, "only in `PLACE` (repeatable, or with commas)")
	f.StringVar(&a.Match, "match", "", "only those whose name matches `GLOB`, like 'nightly-*', or begins\nwith it if it has no wildcard")
	f.Var(&a.Phases, "phase", "only in `PHASE`, or in one of several with commas: landed,\nwaiting, failed, cancelled, damaged, absent or removed; or all")
	f.StringSliceVar(&a.Causes, "cause", nil, "only those that failed by `CAUSE` (repeatable, or with commas)")
	f.StringVar(&a.Text, "text", "", "only with `TEXT` in the reference or in the error")
	cli.GroupFlags(f, "What to find", "since", "until", "records", "doubt", "place", "match", "phase", "cause", "text")
	_ = cmd.RegisterFlagCompletionFunc("place", a.completePlaces)
	a.AddCatalog(f)
	return cmd
}

// findFilter is the filter of the flags of find. It returns a UsageError if one of them
// is wrong.
func (a *app) findFilter() (catalog.Filter, error) {
	f := catalog.Filter{
		Phases: a.Phases.Value, Causes: a.Causes, Text: a.Text, Doubts: a.Doubts,
		Since: a.Since.Value, Until: a.Until.Value, Match: a.Match,
	}
	if _, err := path.Match(a.Match, ""); err != nil {
		return f, cli.Usagef("--match %s: %w", a.Match, err)
	}
	if !f.Since.IsZero() && !f.Until.IsZero() && !f.Since.Before(f.Until) {
		return f, cli.Usagef("--since %v --until %v: no time is between them", &a.Since, &a.Until)
	}
	if f.Match != "" && !strings.ContainsAny(f.Match, `*?[\`) {
		f.Match += "*"
	}
	if len(f.Phases) == 0 {
		f.Phases = []catalog.Phase{catalog.Landed}
		if len(f.Causes) > 0 { // which what landed has none of
			f.Phases = []catalog.Phase{catalog.Failed, catalog.Cancelled, catalog.Damaged, catalog.Absent}
		}
	}
	if r := a.Records.Value; r.Given {
		f.MinRecords, f.MaxRecords = r.Min, &r.Max
	}
	return f, nil
}

// list prints the exports that a filter lets pass, of those that the arguments name. It is
// no error if the reader of the output has read enough and closes it.
func (a *app) list(cmd *cobra.Command, args []string, filter catalog.Filter, print func(io.Writer, catalog.Export) error) error {
	store, err := a.openRequired()
	if err != nil {
		return err
	}
	c, err := a.openCatalog(cmd, store)
	if err != nil {
		return err
	}
	defer c.Close()
	filters, err := filtersOf(c, args)
	if err != nil {
		return err
	}
	for _, f := range filters {
		filter.Places, filter.Key, filter.Prefix = f.Places, f.Key, f.Prefix
		err := a.listOne(cmd, store, c.Exports(filter), print)
		if output, ok := errors.AsType[*cli.OutputError](err); ok && errors.Is(output, syscall.EPIPE) && cmd.Context().Err() == nil {
			return cli.ExitError(worker.ExitLanded)
		}
		if err != nil {
			return err
		}
	}
	return cutOf(c)
}

// atOnce is how many bytes of lines are written at once.
const atOnce = 32 << 10

// listOne prints exports.
func (a *app) listOne(cmd *cobra.Command, store *archive.Archive, exports iter.Seq2[catalog.Export, error], print func(io.Writer, catalog.Export) error) error {
	var lines bytes.Buffer
	for e, err := range exports {
		switch {
		case err != nil:
		case a.JSON:
			err = cli.PrintJSON(&lines, newExportLine(store, e))
		case a.Quiet:
			_, err = fmt.Fprintln(&lines, e.Ref)
		default:
			err = print(&lines, e)
		}
		if err == nil && lines.Len() > atOnce {
			_, err = lines.WriteTo(cmd.OutOrStdout())
		}
		if err != nil {
			return err
		}
	}
	_, err := lines.WriteTo(cmd.OutOrStdout())
	return err
}

// printExport prints a line of an export, and its doubts.
func printExport(w io.Writer, e catalog.Export) error {
	size, records := flagvalue.FormatSize(e.Bytes), "-"
	if e.Records >= 0 {
		records = fmt.Sprint(e.Records)
	}
	mark := ""
	switch {
	case e.Phase != catalog.Landed:
		mark = "  " + flagvalue.FormatPhase(e.Phase)
	case e.Open > 0:
		mark = "  " + cli.Plural(int64(e.Open), "doubt")
	}
	_, err := fmt.Fprintf(w, "%s  %9s  %9s  %s%s\n", e.Landed.Local().Format(time.DateTime)[:16], size, records, redact.URL(e.Ref), mark)
	return err
}

// completePlaces offers the places of the archive.
func (a *app) completePlaces(cmd *cobra.Command, _ []string, begin string) (places []cobra.Completion, _ cobra.ShellCompDirective) {
	store, err := a.openExisting()
	if err != nil || store == nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	quiet := *a
	options := *a.Options
	options.Quiet = true
	quiet.Options = &options
	c, err := quiet.openCatalog(cmd, store)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer c.Close()
	for place, err := range c.Places() {
		if err == nil && place.Name != "" && strings.HasPrefix(place.Name, begin) {
			places = append(places, place.Name)
		}
	}
	return places, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}
