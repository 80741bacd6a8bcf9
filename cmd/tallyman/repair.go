package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/fetch"
	"tallyman/verify/archive"
	"tallyman/worker"
)

var (
	errUnstoredSecret   = fmt.Errorf("it landed by a signed URL: %w", worker.ErrSignedURL)
	errUnknownReference = errors.New("nothing tells any more which reference it landed by")
)

// checkDamage checks an export, which need not have landed, and has the ledger say so if
// it is damaged or absent.
func checkDamage(ctx context.Context, store *archive.Archive, ref fetch.Ref) (damaged bool, err error) {
	audit := store.Audit()
	err = audit.Recheck(ctx, ref.Key(), nil)
	audit.Close()
	_, damaged = errors.AsType[*archive.Damage](err)
	switch {
	case damaged:
		return true, audit.Unwritten
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, archive.ErrNewer):
		return false, nil
	}
	return false, err
}

// repairAll fetches anew what is damaged or absent, by the references that were named
// and, for all else, those that are known.
func (c *verifyCommand) repairAll(cmd *cobra.Command, named map[string]fetch.Ref) error {
	c.audit.Close() // a repair is of what the ledger says is damaged
	report := c.app.newReport(cmd, c.archive)
	defer report.Close()
	if err := c.audit.Unwritten; err != nil {
		if !c.app.Quiet {
			fmt.Fprintln(cmd.ErrOrStderr(), "nothing can be repaired here: the archive can't be written to")
		}
		c.notRepaired = len(c.toRepair)
		return nil
	}
	queue := c.app.startLocal(cmd.Context(), c.app.newProviders(), c.archive, report)
	defer queue.Close()
	refs := func(yield func(fetch.Ref, error) bool) {
		for _, damage := range c.toRepair {
			ref, known := named[damage.Key]
			if !known {
				ref, known = fetch.RefAt(damage.Key, damage.Reference)
			}
			switch {
			case !known:
				report.Repaired(damage.Key, damage.Key, errUnknownReference)
			case damage.Hidden != "" && !ref.Signed():
				report.Repaired(ref.String(), damage.Key, errUnstoredSecret)
			case !yield(ref, nil):
				return
			}
		}
	}
	forEachReference(cmd.Context(), refs, maxConcurrentReferences, report, func(ctx context.Context, ref fetch.Ref) {
		_, err := queue.Fetch(ctx, ref.WithRepair())
		report.Repaired(ref.String(), ref.Key(), err)
	})
	report.Close()
	c.repaired = report.CountRepaired()
	c.notRepaired = len(c.toRepair) - c.repaired
	if cmd.Context().Err() != nil {
		return cli.ExitError(worker.ExitInterrupted)
	}
	return nil
}
