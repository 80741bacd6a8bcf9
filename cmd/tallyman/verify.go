package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strings"

	"github.com/spf13/cobra"

	"tallyman/fetch"
	"tallyman/verify/archive"
	"tallyman/worker"
)

func newVerify(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify [REF...]",
		Short: "Prove again that what landed is as it was then",
		Example: `  tallyman verify
  tallyman verify --part 1/7     # on Mondays; a week proves it all
  tallyman verify sls://cn-hangzhou/ali-test-project/download-123`,
		RunE: func(cmd *cobra.Command, args []string) error { return o.verify(cmd, args) },
	}
	cmd.Flags().Var(&o.shard, "part", "only the `K/N`th part of the archive")
	return cmd
}

func (o *options) verify(cmd *cobra.Command, args []string) error {
	named, err := keysOf(args)
	if err != nil {
		return err
	}
	store, err := archive.OpenExisting(o.archive)
	if errors.Is(err, fs.ErrNotExist) {
		return usagef("there is no archive in %s: name it by --archive", o.archive)
	}
	if err != nil {
		return err
	}
	keys := store.All()
	if len(args) > 0 {
		keys = named
	}
	r := &rechecks{o: o, store: store, out: cmd.OutOrStdout()}
	if err := r.all(cmd.Context(), keys); err != nil {
		return err
	}
	return r.exit(cmd.ErrOrStderr())
}

func keysOf(args []string) (iter.Seq2[string, error], error) {
	var keys []string
	for _, arg := range args {
		ref, err := fetch.ParseRef(arg)
		if err != nil {
			return nil, &usageError{err}
		}
		keys = append(keys, ref.Key())
	}
	return func(yield func(string, error) bool) {
		for _, key := range keys {
			if !yield(key, nil) {
				return
			}
		}
	}, nil
}

// rechecks rechecks exports and counts how they fare.
type rechecks struct {
	o     *options
	store *archive.Archive
	out   io.Writer

	whole, damaged, absent int
}

func (r *rechecks) all(ctx context.Context, keys iter.Seq2[string, error]) error {
	for key, err := range keys {
		if err != nil {
			return err
		}
		if !r.o.shard.Has(key) {
			continue
		}
		if err := r.recheck(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// recheck fails only if the archive can't be read.
func (r *rechecks) recheck(ctx context.Context, key string) error {
	line := rechecked{Schema: "tallyman.recheck/v1", Key: key, State: "whole"}
	err := r.store.Recheck(ctx, key)
	damage, damaged := errors.AsType[*archive.Damage](err)
	switch {
	case damaged:
		r.damaged++
		line.State, line.Problems = "damaged", damage.Problems
	case errors.Is(err, fs.ErrNotExist):
		r.absent++
		line.State, line.Problems = "absent", []string{"it has not landed"}
	case err != nil:
		return err
	default:
		r.whole++
	}
	r.show(line)
	return nil
}

// rechecked is what --json prints of an export.
type rechecked struct {
	Schema   string   `json:"schema"`
	Key      string   `json:"key"`
	State    string   `json:"state"` // "whole", "damaged" or "absent"
	Problems []string `json:"problems,omitempty"`
}

func (r *rechecks) show(line rechecked) {
	switch {
	case r.o.json:
		writeJSON(r.out, line)
	case line.State != "whole":
		fmt.Fprintf(r.out, "%-7s  %s  %s\n", line.State, line.Key, strings.Join(line.Problems, "; "))
	case !r.o.quiet:
		fmt.Fprintf(r.out, "%-7s  %s\n", line.State, line.Key)
	}
}

func (r *rechecks) exit(stderr io.Writer) error {
	if !r.o.quiet {
		fmt.Fprintf(stderr, "%d whole, %d damaged, %d absent\n", r.whole, r.damaged, r.absent)
	}
	switch {
	case r.damaged > 0:
		hint(stderr, "move what is damaged out of the archive and fetch it again")
		return exit(worker.ExitDamaged)
	case r.absent > 0:
		return exit(worker.ExitUnknown)
	}
	return nil
}
