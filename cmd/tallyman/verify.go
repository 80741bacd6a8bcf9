package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/fetch"
	"tallyman/verify/archive"
	"tallyman/worker"
)

func newVerifyCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify [REF|PATH...]",
		Short: "Check that what landed is still as it was then",
		Long: `Verify proves that each file of a bag has the bytes that landed, and that no file
was added: of all exports of the archive, of those that are named, or of the bags at
a path, or below it, such as a copy. No archive has to be around these.`,
		Example: `  tallyman verify
  tallyman verify --part 1/7     # on Mondays; the whole archive in a week
  tallyman verify sls://cn-hangzhou/ali-test-project/download-123
  tallyman verify /media/copy/archive/sls/cn-hangzhou`,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.verify(cmd, args) },
	}
	a.Shard = flagvalue.New("K/N", "", flagvalue.ParseShard)
	cmd.Flags().Var(&a.Shard, "part", "only the `K/N`th part of the archive")
	return cmd
}

func (a *app) verify(cmd *cobra.Command, args []string) error {
	var keys, paths []string
	for _, arg := range args {
		ref, err := fetch.ParseRef(arg)
		switch info, statErr := os.Stat(arg); {
		case err == nil:
			keys = append(keys, ref.Key())
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
	c := &verifyCommand{app: a, stdout: cmd.OutOrStdout()}
	for _, path := range paths {
		if err := c.recheckPath(cmd.Context(), path); err != nil {
			return err
		}
	}
	if len(paths) > 0 && len(keys) == 0 {
		return c.exit(cmd.ErrOrStderr())
	}
	store, err := a.openRequired()
	if err != nil {
		return err
	}
	c.archive = store
	for _, key := range keys {
		if err := c.recheck(cmd.Context(), key); err != nil {
			return err
		}
	}
	if len(args) == 0 {
		for key, err := range store.All() {
			if err == nil {
				err = c.recheck(cmd.Context(), key)
			}
			if err != nil {
				return err
			}
		}
	}
	return c.exit(cmd.ErrOrStderr())
}

// verifyCommand is a run of the command. It counts the exports by how they
// fare.
type verifyCommand struct {
	app     *app
	archive *archive.Archive // nil if only paths are named
	stdout  io.Writer

	whole, damaged, absent int
}

// recheckLine is what --json prints of an export.
type recheckLine struct {
	Schema   string   `json:"schema"`
	Key      string   `json:"key"`            // "" for a damaged bag that was named by its path
	Path     string   `json:"path,omitempty"` // of a bag that was named so
	State    string   `json:"state"`          // "whole", "damaged" or "absent"
	Problems []string `json:"problems,omitempty"`
}

// recheck checks one export if it is in the shard of --part, and prints how it
// fares. It returns an error only if the archive can't be read.
func (c *verifyCommand) recheck(ctx context.Context, key string) error {
	if !c.app.Shard.Value.Has(key) {
		return nil
	}
	return c.tell(recheckLine{Key: key}, c.archive.Recheck(ctx, key, nil))
}

// recheckPath is recheck for the bags at a path, or below it.
func (c *verifyCommand) recheckPath(ctx context.Context, path string) error {
	found := false
	for bag, err := range archive.Bags(path) {
		found = true
		if err != nil {
			return err
		}
		if !c.app.Shard.Value.Has(bag) {
			continue
		}
		key, err := archive.RecheckBag(ctx, bag, nil)
		if err := c.tell(recheckLine{Key: key, Path: bag}, err); err != nil {
			return err
		}
	}
	if !found {
		return c.tell(recheckLine{Path: path}, fs.ErrNotExist)
	}
	return nil
}

// tell prints how an export fares: err is of its recheck. It returns err if that could
// not be done.
func (c *verifyCommand) tell(line recheckLine, err error) error {
	line.Schema, line.State = "tallyman.recheck/v1", "whole"
	damage, damaged := errors.AsType[*archive.Damage](err)
	switch {
	case damaged:
		c.damaged++
		line.State, line.Problems = "damaged", damage.Problems
	case errors.Is(err, fs.ErrNotExist):
		c.absent++
		line.State, line.Problems = "absent", []string{"it has not landed"}
		if line.Path != "" {
			line.Problems[0] = "there is no bag"
		}
	case err != nil:
		return err
	default:
		c.whole++
	}
	switch {
	case c.app.JSON:
		_ = cli.PrintJSON(c.stdout, line)
	case line.State != "whole":
		fmt.Fprintf(c.stdout, "%-7s  %s  %s\n", line.State, cmp.Or(line.Path, line.Key), strings.Join(line.Problems, "; "))
	case !c.app.Quiet:
		fmt.Fprintf(c.stdout, "%-7s  %s\n", line.State, cmp.Or(line.Path, line.Key))
	}
	return nil
}

func (c *verifyCommand) exit(stderr io.Writer) error {
	if !c.app.Quiet {
		fmt.Fprintf(stderr, "%d whole, %d damaged, %d absent\n", c.whole, c.damaged, c.absent)
	}
	switch {
	case c.damaged > 0:
		hint := hintDamagedBags
		if c.archive == nil {
			hint = hintDamagedCopy
		}
		cli.PrintHint(stderr, hint)
		return cli.ExitError(worker.ExitDamaged)
	case c.absent > 0:
		return cli.ExitError(worker.ExitUnknown)
	}
	return nil
}
