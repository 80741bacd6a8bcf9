package main

import (
	"context"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"tallyman/fetch"
	"tallyman/fetch/hostguard"
)

// references are those of the command line, and then those of --file.
type references struct {
	o         *options
	args      []string
	stdin     io.Reader
	providers map[string]fetch.Provider
}

// references refuses what can be seen to be wrong before anything is fetched:
// on the command line, and in a file. What comes through a pipe is judged line
// by line, as it comes.
func (o *options) references(cmd *cobra.Command, args []string, providers map[string]fetch.Provider) (*references, error) {
	if len(args) == 1 && args[0] == "-" && o.file == "" {
		args, o.file = nil, "-"
	}
	if len(args) == 0 && o.file == "" {
		return nil, usagef("want a reference, or -f FILE\nSee '%s --help'", cmd.CommandPath())
	}
	r := &references{o, args, cmd.InOrStdin(), providers}
	twice, err := o.canCheck()
	if err != nil {
		return nil, err
	}
	lines := r.lines(cmd.Context())
	if !twice {
		lines = r.argLines()
	}
	for _, err := range r.parse(lines) {
		if err != nil {
			return nil, err
		}
	}
	return r, nil
}

// all yields each reference once, as far as recent remembers. An error is that
// of one line; the others go on. It ends with ctx.
func (r *references) all(ctx context.Context) iter.Seq2[fetch.Ref, error] {
	return r.parse(r.lines(ctx))
}

func (r *references) lines(ctx context.Context) iter.Seq[line] {
	return func(yield func(line) bool) {
		for _, lines := range []iter.Seq[line]{r.argLines(), r.o.fileLines(ctx, r.stdin)} {
			for l := range lines {
				if !yield(l) {
					return
				}
			}
		}
	}
}

func (r *references) argLines() iter.Seq[line] {
	return func(yield func(line) bool) {
		for _, arg := range r.args {
			if !yield(line{text: arg}) {
				return
			}
		}
	}
}

func (r *references) parse(lines iter.Seq[line]) iter.Seq2[fetch.Ref, error] {
	return func(yield func(fetch.Ref, error) bool) {
		seen := newRecent()
		for l := range lines {
			ref, again, err := r.read(l, seen)
			if !again && !yield(ref, err) {
				return
			}
		}
	}
}

// read reads one line. It reports whether the same was read before.
func (r *references) read(l line, seen *recent) (ref fetch.Ref, again bool, err error) {
	if l.err != nil {
		return ref, false, l.err
	}
	if ref, err = r.o.reference(l.text, r.providers); err == nil {
		before, alike := seen.see(ref)
		if alike {
			return ref, before, nil
		}
		err = usagef("%s and one before it are one export, with other promises or another query: want one of them", ref)
	}
	if l.file != "" {
		err = l.blame(err)
	}
	return ref, false, err
}

func (o *options) reference(text string, providers map[string]fetch.Provider) (fetch.Ref, error) {
	ref, err := fetch.ParseRef(text)
	hosts := hostguard.Policy{Allow: o.hosts}
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
