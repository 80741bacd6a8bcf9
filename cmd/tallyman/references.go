package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"iter"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/fetch"
	"tallyman/fetch/hostguard"
	"tallyman/fetch/redact"
)

// forEachReference calls do for every reference, up to limit at the same time,
// and returns once all calls have returned. It reports errors of refs, panics of
// do, and the end of ctx. An error of refs that comes with a reference is of that
// export.
func forEachReference(ctx context.Context, refs iter.Seq2[fetch.Ref, error], limit int, report *cli.Report, do func(context.Context, fetch.Ref)) {
	var all sync.WaitGroup
	defer all.Wait()
	slots := make(chan struct{}, limit)
	for ref, err := range refs {
		switch {
		case err != nil && ref.Scheme() == "":
			report.Reject(err)
			continue
		case err != nil:
			report.End(ref, nil, err)
			continue
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			report.Reject(context.Cause(ctx))
			return
		}
		all.Go(func() {
			defer func() { <-slots }()
			if err := recoverPanic(func() error { do(ctx, ref); return nil }); err != nil {
				report.End(ref, nil, err)
			}
		})
	}
}

// references has the references of the command line, and then those of --file.
type references struct {
	app       *app
	args      []string
	stdin     io.Reader
	providers map[string]fetch.Provider
}

// references returns the references of a call, as references.all yields them. It
// returns a UsageError if one of the command line is wrong, or one in a file that
// can be read twice. Lines of a pipe are checked one by one as they come.
func (a *app) references(cmd *cobra.Command, args []string, providers map[string]fetch.Provider) (iter.Seq2[fetch.Ref, error], error) {
	if len(args) == 1 && args[0] == "-" && a.References == "" {
		args, a.References = nil, "-"
	}
	if len(args) == 0 && a.References == "" {
		return nil, cli.Usagef("Name at least one export to %s, or give a list with -f FILE.\nSee '%s --help'", cmd.Name(), cmd.CommandPath())
	}
	isFile := false
	if a.References != "" && a.References != "-" {
		info, err := os.Stat(a.References)
		if err != nil {
			return nil, cli.Usagef("--file: %w", err)
		}
		if info.IsDir() {
			return nil, cli.Usagef("--file %s: it is a directory", a.References)
		}
		isFile = info.Mode().IsRegular()
	}
	r := &references{a, args, cmd.InOrStdin(), providers}
	for _, err := range r.all(cmd.Context(), isFile) {
		if err != nil {
			return nil, err
		}
	}
	return r.all(cmd.Context(), a.References != ""), nil
}

// all yields each reference once, as far back as dedupe remembers: those of the
// command line and, if file is set, those of --file. An error is that of one line;
// others may follow. It ends with ctx.
func (r *references) all(ctx context.Context, file bool) iter.Seq2[fetch.Ref, error] {
	return func(yield func(fetch.Ref, error) bool) {
		names, _ := lru.New[string, uint64](dedupeWindow) // fails only for a negative size
		seen := dedupe{names}
		next := func(l line) (more bool) {
			ref, err, seenBefore := fetch.Ref{}, l.err, false
			if err == nil {
				if at := comment().FindStringIndex(l.text); at != nil && l.file != "" {
					err = cli.Usagef("a comment must be on a line of its own: did you mean %s? (A reference that holds a # like this one can be an argument)", redact.URL(l.text[:at[0]]))
				} else if ref, err = r.app.reference(l.text, r.providers); err == nil {
					var same bool
					if seenBefore, same = seen.see(ref); !same {
						err = cli.Usagef("%s and an earlier reference are one export, with different promises or another query: leave one of them out", ref)
					}
				}
				if err != nil {
					ref, err = fetch.Ref{}, l.errorAt(err)
				}
			}
			return err == nil && seenBefore || yield(ref, err)
		}
		for _, arg := range r.args {
			if !next(line{text: arg}) {
				return
			}
		}
		if file {
			r.fileLines(ctx)(next)
		}
	}
}

// reference parses a reference that this call may fetch.
func (a *app) reference(text string, providers map[string]fetch.Provider) (fetch.Ref, error) {
	ref, err := fetch.ParseRef(text)
	hosts := hostguard.Policy{Allow: a.AllowHosts}
	switch {
	case err != nil:
		if info, statErr := os.Stat(text); statErr == nil && info.Mode().IsRegular() {
			err = fmt.Errorf("%w; it is a file: did you mean -f %s?", err, cli.ShellQuote(text))
		}
		return ref, &cli.UsageError{Err: err}
	case providers[ref.Scheme()] == nil:
		known := strings.Join(slices.Sorted(maps.Keys(providers)), ", ")
		return ref, cli.Usagef("%s: this version can't fetch %s references, only %s", ref, ref.Scheme(), known)
	case ref.Scheme() == "http" && !hosts.Allows(ref.Parts()[0]):
		return ref, cli.Usagef("%s: http needs --allow-host %s", ref, ref.Parts()[0])
	}
	return ref, nil
}

// parseReferences parses references that this call may fetch.
func (a *app) parseReferences(args []string, providers map[string]fetch.Provider) (refs []fetch.Ref, err error) {
	for _, arg := range args {
		ref, err := a.reference(arg, providers)
		if err != nil {
			return nil, err
		}
		refs = append(refs, ref)
	}
	return refs, nil
}

// dedupe remembers the references that were seen last.
type dedupe struct{ names *lru.Cache[string, uint64] } // by key, the hash of the name it was first seen under

// dedupeWindow is how many references are remembered, so that a list without
// end takes up no more than some megabytes.
const dedupeWindow = 1 << 16

var dedupeSeed = maphash.MakeSeed()

// see reports whether an export was seen before, and whether it was named the
// same: with the same promises and, where the query is a secret, the same
// query.
func (d dedupe) see(ref fetch.Ref) (seenBefore, same bool) {
	name := maphash.String(dedupeSeed, ref.String()+"\n"+ref.URL())
	first, seenBefore := d.names.Get(ref.Hash())
	if !seenBefore {
		d.names.Add(ref.Hash(), name)
		return false, true
	}
	return true, first == name
}

// line is one line of --file. A line with an error is the last.
type line struct {
	file   string
	number int
	text   string
	err    error
}

// errorAt returns a UsageError that says which line of the file err is about, or which
// argument.
func (l line) errorAt(err error) error {
	if l.file != "" {
		err = fmt.Errorf("%s, line %d: %w", l.file, l.number, err)
	}
	return &cli.UsageError{Err: err, Reference: redact.URL(l.text)}
}

// comment matches what looks like a comment behind a reference, where the names of few
// exports go on.
var comment = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\s+#(\s.*)?$|(\t|\s\s)\s*#.*$`) })

// maxLine is the longest line in bytes, more than any reference is.
const maxLine = 1 << 20

// fileLines yields the lines of --file as they are written. It ends with ctx
// even if the file is a pipe to which nobody writes, or one without end.
func (r *references) fileLines(ctx context.Context) iter.Seq[line] {
	return func(yield func(line) bool) {
		readCtx, stop := context.WithCancel(ctx)
		defer stop()
		lines := make(chan line)
		go func() {
			defer close(lines)
			send := func(l line) bool {
				select {
				case lines <- l:
					return true
				case <-readCtx.Done():
					return false
				}
			}
			if r.app.References == "-" {
				readLines("standard input", r.stdin, send)
				return
			}
			f, err := os.Open(r.app.References)
			if err != nil {
				send(line{err: cli.Usagef("--file: %w", err)})
				return
			}
			defer f.Close()
			readLines(r.app.References, f, send)
		}()
		for {
			select {
			case l, ok := <-lines:
				if !ok || !yield(l) {
					return
				}
			case <-ctx.Done():
				yield(line{err: fmt.Errorf("--file: %w", context.Cause(ctx))})
				return
			}
		}
	}
}

// readLines yields the lines of r, without the space around them. It skips
// empty lines and those that begin with #.
func readLines(name string, r io.Reader, yield func(line) bool) {
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxLine)
	n := 0
	for s.Scan() {
		n++
		text := strings.TrimSpace(strings.TrimPrefix(s.Text(), "\ufeff"))
		if text != "" && text[0] != '#' && !yield(line{file: name, number: n, text: text}) {
			return
		}
	}
	l := line{file: name, number: n + 1}
	if l.err = s.Err(); errors.Is(l.err, bufio.ErrTooLong) {
		l.err = fmt.Errorf("it is longer than %s", flagvalue.FormatSize(maxLine))
	}
	if l.err != nil {
		l.err = l.errorAt(l.err)
		yield(l)
	}
}
