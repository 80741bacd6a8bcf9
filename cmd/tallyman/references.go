package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"tallyman/fetch"
)

// references reads those of the command line and of --file, each once. What
// can't be fetched is refused before anything is.
func (o *options) references(cmd *cobra.Command, args []string, providers map[string]fetch.Provider) ([]fetch.Ref, error) {
	lines, err := o.lines(cmd.Context(), cmd.InOrStdin())
	if err != nil {
		return nil, err
	}
	args = append(args, lines...)
	if len(args) == 0 && o.file == "" {
		return nil, usagef("want a reference, or -f FILE\nSee '%s --help'", cmd.CommandPath())
	}
	var refs []fetch.Ref
	seen := map[string]fetch.Ref{}
	for _, arg := range args {
		ref, err := o.reference(arg, providers)
		if err != nil {
			return nil, err
		}
		first, again := seen[ref.Key()]
		switch {
		case !again:
			seen[ref.Key()] = ref
			refs = append(refs, ref)
		case first.String() != ref.String() || first.Signed() && first.URL() != ref.URL():
			return nil, usagef("%s and %s are one export: want one of them", first, ref)
		}
	}
	return refs, nil
}

func (o *options) reference(text string, providers map[string]fetch.Provider) (fetch.Ref, error) {
	ref, err := fetch.ParseRef(text)
	hosts := fetch.Hosts{Allow: o.hosts}
	switch {
	case err != nil:
		return ref, &usageError{err}
	case providers[ref.Scheme()] == nil:
		known := strings.Join(slices.Sorted(maps.Keys(providers)), ", ")
		return ref, usagef("%s: this version can't fetch %s references, only %s", ref, ref.Scheme(), known)
	case ref.Scheme() == "http" && !hosts.Allows(ref.Parts()[0]):
		return ref, usagef("%s: http needs --allow-host %s", ref, ref.Parts()[0])
	}
	return ref, nil
}

// lines are those of --file that are not empty and don't begin with #. What
// it names may be a pipe that nobody writes to.
func (o *options) lines(ctx context.Context, stdin io.Reader) ([]string, error) {
	var lines []string
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		lines, err = o.readLines(stdin)
	}()
	select {
	case <-done:
		return lines, err
	case <-ctx.Done():
		return nil, fmt.Errorf("--file: %w", context.Cause(ctx))
	}
}

func (o *options) readLines(stdin io.Reader) ([]string, error) {
	if o.file == "" {
		return nil, nil
	}
	if o.file == "-" {
		return readLines(stdin)
	}
	f, err := os.Open(o.file)
	if err != nil {
		return nil, usagef("--file: %w", err)
	}
	defer f.Close()
	return readLines(f)
}

func readLines(r io.Reader) (lines []string, err error) {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		if line := strings.TrimSpace(s.Text()); line != "" && line[0] != '#' {
			lines = append(lines, line)
		}
	}
	if s.Err() != nil {
		return nil, usagef("--file: %w", s.Err())
	}
	return lines, nil
}
