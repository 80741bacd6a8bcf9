package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
		Use:   "verify [REF...]",
		Short: "Check that what landed is still as it was then",
		Example: `  tallyman verify
  tallyman verify --part 1/7     # on Mondays; the whole archive in a week
  tallyman verify sls://cn-hangzhou/ali-test-project/download-123`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.verify(cmd, args) },
	}
	a.Shard = flagvalue.New("K/N", "", flagvalue.ParseShard)
	cmd.Flags().Var(&a.Shard, "part", "only the `K/N`th part of the archive")
	return cmd
}

func (a *app) verify(cmd *cobra.Command, args []string) error {
	var named []string
	for _, arg := range args {
		ref, err := fetch.ParseRef(arg)
		if err != nil {
			return &cli.UsageError{Err: err}
		}
		named = append(named, ref.Key())
	}
	store, err := a.openRequired()
	if err != nil {
		return err
	}
	c := &verifyCommand{app: a, archive: store, stdout: cmd.OutOrStdout()}
	for _, key := range named {
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
	archive *archive.Archive
	stdout  io.Writer

	whole, damaged, absent int
}

// recheckLine is what --json prints of an export.
type recheckLine struct {
	Schema   string   `json:"schema"`
	Key      string   `json:"key"`
	State    string   `json:"state"` // "whole", "damaged" or "absent"
	Problems []string `json:"problems,omitempty"`
}

// recheck checks one export if it is in the shard of --part, and prints how it
// fares. It returns an error only if the archive can't be read.
func (c *verifyCommand) recheck(ctx context.Context, key string) error {
	if !c.app.Shard.Value.Has(key) {
		return nil
	}
	line := recheckLine{Schema: "tallyman.recheck/v1", Key: key, State: "whole"}
	err := c.archive.Recheck(ctx, key)
	damage, damaged := errors.AsType[*archive.Damage](err)
	switch {
	case damaged:
		c.damaged++
		line.State, line.Problems = "damaged", damage.Problems
	case errors.Is(err, fs.ErrNotExist):
		c.absent++
		line.State, line.Problems = "absent", []string{"it has not landed"}
	case err != nil:
		return err
	default:
		c.whole++
	}
	switch {
	case c.app.JSON:
		_ = cli.PrintJSON(c.stdout, line)
	case line.State != "whole":
		fmt.Fprintf(c.stdout, "%-7s  %s  %s\n", line.State, line.Key, strings.Join(line.Problems, "; "))
	case !c.app.Quiet:
		fmt.Fprintf(c.stdout, "%-7s  %s\n", line.State, line.Key)
	}
	return nil
}

func (c *verifyCommand) exit(stderr io.Writer) error {
	if !c.app.Quiet {
		fmt.Fprintf(stderr, "%d whole, %d damaged, %d absent\n", c.whole, c.damaged, c.absent)
	}
	switch {
	case c.damaged > 0:
		cli.PrintHint(stderr, hintDamagedBags)
		return cli.ExitError(worker.ExitDamaged)
	case c.absent > 0:
		return cli.ExitError(worker.ExitUnknown)
	}
	return nil
}
