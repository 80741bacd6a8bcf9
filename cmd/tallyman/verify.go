package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/config"
	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/fetch"
	"tallyman/verify/archive"
	"tallyman/verify/archive/catalog"
	"tallyman/worker"
)

func newVerifyCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify [REF|PATH...]",
		Short: "Check that what landed is still as it was then",
		Long: `Verify proves that each file of a bag has the bytes that landed, and that no file
was added: of all exports of the archive, of those that are named, or of the bags at
a path, or below it, such as a copy. No archive has to be around these.

In the archive it also holds the bags against the ledger, the list of what landed:
one that is gone, or that is another than landed, is damage, and so is a line of the
ledger that was removed or changed. What it finds is written down in the ledger.

With --repair, what is damaged or gone is fetched anew, if its source still has the
same bytes. The damaged bag is put aside in .damaged, and nothing is deleted.`,
		Example: `  tallyman verify
  tallyman verify --part 1/7     # on Mondays; the whole archive in a week
  tallyman verify sls://cn-hangzhou/ali-test-project/download-123
  tallyman verify --repair
  tallyman verify --adopt --reason 'put back from the copy of 1 December'
  tallyman verify /media/copy/archive/sls/cn-hangzhou`,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.verify(cmd, args) },
	}
	a.Shard = flagvalue.New("K/N", "", flagvalue.ParseShard)
	f := cmd.Flags()
	f.Var(&a.Shard, "part", "only the `K/N`th part of the archive")
	f.BoolVar(&a.Adopt, "adopt", false, "take bags that are whole for what landed, where the ledger says\notherwise, and its damage as told; needs --reason")
	f.StringVar(&a.Reason, "reason", "", "with --adopt, the `TEXT` that the ledger keeps of why")
	f.BoolVar(&a.Repair, "repair", false, "fetch anew what is damaged or gone")
	cli.GroupFlags(f, "What to verify", "part", "adopt", "reason", "repair")
	a.AddCatalog(f)
	repair := pflag.NewFlagSet("", pflag.ContinueOnError)
	a.AddTransfer(repair)
	a.AddWait(repair)
	a.AddCalls(repair)
	repair.VisitAll(func(flag *pflag.Flag) {
		_ = repair.SetAnnotation(flag.Name, config.OnlyWith, []string{"repair"}) // there is such a flag
	})
	f.AddFlagSet(repair)
	return cmd
}

func (a *app) verify(cmd *cobra.Command, args []string) error {
	var keys, paths []string
	named := map[string]fetch.Ref{}
	for _, arg := range args {
		ref, err := fetch.ParseRef(arg)
		switch info, statErr := os.Stat(arg); {
		case err == nil:
			keys = append(keys, ref.Key())
			named[ref.Key()] = ref
		case statErr == nil && info.IsDir():
			paths = append(paths, arg)
		case statErr == nil:
			return cli.Usagef("%s is a file: name the bag that it is in, the directory with bagit.txt", arg)
		case strings.Contains(arg, "://"):
			return &cli.UsageError{Err: err}
		default:
			return cli.Usagef("%s is neither a reference, such as sls://REGION/PROJECT/JOB, nor a directory: %w", arg, statErr)
		}
	}
	if err := a.checkVerify(paths); err != nil {
		return err
	}
	c := &verifyCommand{app: a}
	if len(keys) > 0 || len(args) == 0 {
		store, err := a.openRequired()
		if err != nil {
			return err
		}
		c.archive = store
	}
	c.bar = cli.NewRecheckBar(cmd.OutOrStdout(), cmd.ErrOrStderr(), a.Quiet || a.JSON)
	err := c.checkAll(cmd.Context(), paths, keys)
	c.bar.Close()
	if err == nil && len(c.toRepair) > 0 {
		err = c.repairAll(cmd, named)
	}
	if err != nil {
		return err
	}
	return c.exit(cmd.ErrOrStderr())
}

// checkVerify returns a UsageError if flags don't go together, or with paths.
func (a *app) checkVerify(paths []string) error {
	switch {
	case a.Adopt != (a.Reason != ""):
		return cli.Usagef("--adopt and --reason go together: the ledger keeps the reason")
	case a.Adopt && a.Repair:
		return cli.Usagef("--adopt takes bags as they are, and --repair fetches them anew: use one of them")
	case (a.Adopt || a.Repair) && len(paths) > 0:
		flag := "--adopt"
		if a.Repair {
			flag = "--repair"
		}
		return cli.Usagef("%s is of exports of the archive, and %s is a path: name them by their references", flag, paths[0])
	case a.Repair:
		return a.Check()
	}
	return nil
}

// checkAll checks bags and, if nothing is named, the ledger.
func (c *verifyCommand) checkAll(ctx context.Context, paths, keys []string) error {
	if c.archive == nil {
		return c.recheckAll(ctx, paths, keys)
	}
	c.audit = c.archive.Audit()
	defer c.audit.Close()
	if len(paths)+len(keys) == 0 {
		if err := c.checkLedger(ctx); err != nil {
			return err
		}
		if err := c.archive.Adopt(ctx); ctx.Err() == nil {
			c.audit.Unwritten = err
		}
	}
	err := c.recheckAll(ctx, paths, keys)
	if err == nil && len(paths)+len(keys) == 0 {
		worst := "whole"
		switch {
		case c.damaged+c.breaks > 0:
			worst = "damaged"
		case c.gone > 0:
			worst = "absent"
		case c.newer > 0:
			worst = "newer"
		}
		c.audit.Rechecked(c.app.Shard.String(), c.whole+c.damaged+c.absent+c.newer, worst)
	}
	return err
}

// checkLedger prints what is wrong with the ledger itself.
func (c *verifyCommand) checkLedger(ctx context.Context) error {
	report, err := c.audit.CheckLedger()
	if err != nil {
		return err
	}
	known, err := catalog.OpenExisting(ctx, c.archive, c.app.catalogOptions())
	if err != nil {
		return err
	}
	if known != nil && known.Cut != nil {
		report.Breaks = append(report.Breaks, known.Cut.Break())
	}
	if err := known.Close(); err != nil {
		return err
	}
	state := "damaged"
	if c.app.Adopt {
		if err := c.audit.AdoptBreaks(report.Breaks, c.app.Reason); err != nil {
			return err
		}
		state = "adopted"
	}
	for _, b := range report.Breaks {
		problem := b.Why
		if b.Line > 0 {
			problem = fmt.Sprintf("line %d: %s", b.Line, b.Why)
		}
		c.print(recheckLine{Path: filepath.Join(c.app.Archive, ".ledger", b.File), State: state, Problems: []string{problem}})
	}
	if c.breaks = len(report.Breaks); c.app.Adopt {
		c.adopted, c.breaks = c.breaks, 0
	}
	if report.Torn > 0 {
		c.notes = append(c.notes, fmt.Sprintf("the last %d bytes of the ledger are of a line that was not written to its end: the next line takes their place", report.Torn))
	}
	if !report.Ahead.IsZero() {
		c.notes = append(c.notes, "the last line of the ledger is of "+report.Ahead.Format(time.RFC3339)+": see that the clocks are right")
	}
	return nil
}

// verifyCommand is a run of the command. It counts the exports by how they
// fare.
type verifyCommand struct {
	app     *app
	archive *archive.Archive // nil if only paths are named
	audit   *archive.Audit   // likewise
	bar     *cli.RecheckBar

	whole, damaged, absent int
	gone                   int // of those that are absent: they had landed
	newer, busy, breaks    int
	adopted                int
	repaired, notRepaired  int
	removed                int
	toRepair               []*archive.Damage // what --repair is to mend
	notes                  []string          // of the ledger
}

// recheckLine is what --json prints of an export.
type recheckLine struct {
	Schema   string   `json:"schema"`
	Key      string   `json:"key"`            // "" for a damaged bag that was named by its path
	Path     string   `json:"path,omitempty"` // of a bag that was named so, or of a file of the ledger
	State    string   `json:"state"`          // "whole", "damaged", "absent", "newer" (than the ledger), "busy", "removed" or "adopted"
	Problems []string `json:"problems,omitempty"`
}

// bags yields a line of each bag to be checked, and of each path without one, which is
// absent: the bags at the paths or below them, and the exports of the archive that keys
// name, or all of them if nothing is named. It ends after the first error.
func (c *verifyCommand) bags(paths, keys []string) iter.Seq2[recheckLine, error] {
	return func(yield func(recheckLine, error) bool) {
		for _, path := range paths {
			found := false
			for bag, err := range archive.Bags(path) {
				found = true
				if (err != nil || c.app.Shard.Value.Has(bag)) && !yield(recheckLine{Path: bag}, err) {
					return
				}
			}
			if !found && !yield(recheckLine{Path: path, State: "absent"}, nil) {
				return
			}
		}
		var exports iter.Seq2[string, error] = func(yield func(string, error) bool) {
			for _, key := range keys {
				if !yield(key, nil) {
					return
				}
			}
		}
		if len(paths)+len(keys) == 0 {
			exports = c.archive.All()
		}
		for key, err := range exports {
			if (err != nil || c.app.Shard.Value.Has(key)) && !yield(recheckLine{Key: key}, err) {
				return
			}
		}
		if len(paths)+len(keys) > 0 {
			return
		}
		for key, err := range c.archive.Absent() {
			if (err != nil || c.app.Shard.Value.Has(key)) && !yield(recheckLine{Key: key}, err) {
				return
			}
		}
		for removed, err := range c.archive.Removed() {
			if err == nil && !c.app.Shard.Value.Has(removed.Key) {
				continue
			}
			line := recheckLine{State: "removed"}
			if err == nil {
				line.Key, line.Problems = removed.Key, []string{removed.Error()}
			}
			if !yield(line, err) {
				return
			}
		}
	}
}

// recheckAll checks bags, and prints how each fares. It fails only if it can't go on.
func (c *verifyCommand) recheckAll(ctx context.Context, paths, keys []string) error {
	if c.bar.Visible() {
		total := 0
		for range c.bags(paths, keys) {
			total++
		}
		c.bar.Begin(total)
	}
	for line, err := range c.bags(paths, keys) {
		if err != nil {
			return err
		}
		switch {
		case line.State == "absent":
			err = fs.ErrNotExist
		case line.State == "removed":
		case line.Path == "" && c.app.Adopt:
			var adopted bool
			if adopted, err = c.audit.Adopt(ctx, line.Key, c.app.Reason, c.bar.Read); adopted {
				line.State = "adopted"
			}
		case line.Path == "":
			err = c.audit.Recheck(ctx, line.Key, c.bar.Read)
		default:
			line.Key, err = archive.RecheckBag(ctx, line.Path, c.bar.Read)
		}
		if err := c.tell(line, err); err != nil {
			return err
		}
		c.bar.Increment()
	}
	return nil
}

// tell prints how an export fares: err is of its recheck. It returns err if that could
// not be done.
func (c *verifyCommand) tell(line recheckLine, err error) error {
	damage, isDamage := errors.AsType[*archive.Damage](err)
	removed, isRemoved := errors.AsType[*archive.RemovedError](err)
	if isDamage && c.app.Repair {
		c.toRepair = append(c.toRepair, damage)
	}
	switch {
	case isDamage && damage.Absent:
		c.absent++
		c.gone++
		line.State, line.Problems = "absent", damage.Problems
	case isDamage:
		c.damaged++
		line.State, line.Problems = "damaged", damage.Problems
	case isRemoved:
		c.removed++
		line.State, line.Problems = "removed", []string{removed.Error()}
	case err == nil && line.State == "removed":
		c.removed++
	case errors.Is(err, fs.ErrNotExist):
		c.absent++
		line.State, line.Problems = "absent", []string{"it has not landed"}
		if line.Path != "" {
			line.Problems[0] = "there is no bag"
		}
	case errors.Is(err, archive.ErrNewer):
		c.newer++
		line.State, line.Problems = "newer", []string{archive.ErrNewer.Error()}
	case errors.Is(err, archive.ErrBusy):
		c.busy++
		line.State, line.Problems = "busy", []string{"it is landing now"}
	case err != nil:
		return err
	case line.State == "adopted":
		c.adopted++
		line.Problems = []string{c.app.Reason}
	default:
		c.whole++
		line.State = "whole"
	}
	c.print(line)
	return nil
}

func (c *verifyCommand) print(line recheckLine) {
	line.Schema = "tallyman.recheck/v1"
	switch {
	case c.app.JSON:
		_ = cli.PrintJSON(c.bar.Stdout, line)
	case line.State != "whole" && !(line.State == "removed" && c.app.Quiet):
		fmt.Fprintf(c.bar.Stdout, "%-7s  %s  %s\n", line.State, cmp.Or(line.Path, line.Key), strings.Join(line.Problems, "; "))
	case line.State == "whole" && !c.app.Quiet:
		fmt.Fprintf(c.bar.Stdout, "%-7s  %s\n", line.State, cmp.Or(line.Path, line.Key))
	}
}

func (c *verifyCommand) exit(stderr io.Writer) error {
	if !c.app.Quiet {
		sums := fmt.Sprintf("%d whole, %d damaged, %d absent", c.whole, c.damaged, c.absent)
		for _, more := range []struct {
			n    int
			what string
		}{{c.adopted, "%d adopted"}, {c.removed, "%d removed"}, {c.newer, "%d newer than the ledger"}, {c.busy, "%d landing now"}, {c.breaks, "%d damaged in the ledger"}, {c.repaired, "%d repaired"}, {c.notRepaired, "%d not repaired"}} {
			if more.n > 0 {
				sums += ", " + fmt.Sprintf(more.what, more.n)
			}
		}
		fmt.Fprintln(stderr, sums)
		if c.archive != nil {
			if n, err := c.archive.Replaced(); n > 0 && err == nil {
				fmt.Fprintf(stderr, "%s, damaged and replaced, in %s\n", cli.Plural(int64(n), "old bag"), filepath.Join(c.app.Archive, ".damaged"))
			}
		}
	}
	for _, note := range c.notes {
		fmt.Fprintln(stderr, note)
	}
	if c.audit != nil && c.audit.Unwritten != nil {
		fmt.Fprintf(stderr, "not recorded: %v\n", c.audit.Unwritten)
	}
	switch {
	case c.damaged+c.gone+c.breaks > c.repaired:
		hint := hintDamagedBags
		switch {
		case c.archive == nil:
			hint = hintDamagedCopy
		case c.app.Repair:
			hint = hintNotRepaired
		}
		cli.PrintHint(stderr, hint)
		return cli.ExitError(worker.ExitDamaged)
	case c.newer > 0:
		cli.PrintHint(stderr, hintNewerBags)
		return cli.ExitError(worker.ExitDoubts)
	case c.absent > c.gone:
		return cli.ExitError(worker.ExitUnknown)
	}
	return nil
}
