package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"iter"
	"strconv"
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
	cmd.Flags().StringVar(&o.part, "part", "", "only the `K/N`th part of the archive")
	return cmd
}

// rechecked is what --json prints of an export.
type rechecked struct {
	Schema   string   `json:"schema"`
	Key      string   `json:"key"`
	State    string   `json:"state"` // "whole", "damaged" or "absent"
	Problems []string `json:"problems,omitempty"`
}

func (o *options) verify(cmd *cobra.Command, args []string) error {
	part, err := parsePart(o.part)
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
	keys, err := keysOf(store, args)
	if err != nil {
		return err
	}
	var whole, damaged, absent int
	for key, err := range keys {
		if err != nil {
			return err
		}
		if !part.has(key) {
			continue
		}
		line, err := recheck(cmd.Context(), store, key)
		if err != nil {
			return err
		}
		switch line.State {
		case "whole":
			whole++
		case "damaged":
			damaged++
		case "absent":
			absent++
		}
		o.show(cmd, line)
	}
	if !o.quiet {
		fmt.Fprintf(cmd.ErrOrStderr(), "%d whole, %d damaged\n", whole, damaged)
	}
	switch {
	case damaged > 0:
		return exit(worker.ExitDamaged)
	case absent > 0:
		return exit(worker.ExitUnknown)
	}
	return nil
}

func (o *options) show(cmd *cobra.Command, line rechecked) {
	switch {
	case o.json:
		writeJSON(cmd.OutOrStdout(), line)
	case line.State != "whole":
		fmt.Fprintf(cmd.OutOrStdout(), "%-7s  %s  %s\n", line.State, line.Key, strings.Join(line.Problems, "; "))
	case !o.quiet:
		fmt.Fprintf(cmd.OutOrStdout(), "%-7s  %s\n", line.State, line.Key)
	}
}

// recheck fails only if the archive can't be read.
func recheck(ctx context.Context, store *archive.Archive, key string) (rechecked, error) {
	line := rechecked{Schema: "tallyman.recheck/v1", Key: key, State: "whole"}
	err := store.Recheck(ctx, key)
	if damage, ok := errors.AsType[*archive.Damage](err); ok {
		line.State, line.Problems = "damaged", damage.Problems
		return line, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		line.State, line.Problems = "absent", []string{"it has not landed"}
		return line, nil
	}
	return line, err
}

func keysOf(store *archive.Archive, args []string) (iter.Seq2[string, error], error) {
	if len(args) == 0 {
		return store.All(), nil
	}
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

// A part is one of n, into which keys fall by their hash.
type part struct{ k, n uint64 }

func parsePart(s string) (part, error) {
	if s == "" {
		return part{1, 1}, nil
	}
	k, n, _ := strings.Cut(s, "/")
	p := part{}
	var errK, errN error
	p.k, errK = strconv.ParseUint(k, 10, 32)
	p.n, errN = strconv.ParseUint(n, 10, 32)
	if errK != nil || errN != nil || p.k < 1 || p.k > p.n {
		return part{}, usagef("--part %s: want K/N, like 1/7", s)
	}
	return p, nil
}

func (p part) has(key string) bool {
	h := fnv.New64a()
	h.Write([]byte(key))
	return h.Sum64()%p.n == p.k-1
}
