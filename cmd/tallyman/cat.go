package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/fetch"
	"tallyman/fetch/redact"
	"tallyman/verify/archive"
	"tallyman/worker"
)

func newCatCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "cat REF[:FILE]...",
		Short: "Print a file of an export that landed",
		Long: `Cat prints the bytes of a file as they landed. FILE is its path below data/ of the
bag; an export of one file needs none. While it prints, it holds the file against
the manifest of the bag: of one that is damaged it does not print the end, nor any
of one that is smaller than 1 MiB, and fails with exit code 12. Of a bag that is
newer than the archive's ledger it says so, and ends with exit code 9.

With --json it prints no content, but a line of each file.`,
		Example: `  tallyman cat sls://cn-hangzhou/ali-test-project/download-123 | head
  tallyman cat oss://my-bucket/logs/:2026-12-01/app.csv`,
		Args: usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return a.cat(cmd, args) },
	}
}

// contentLine is what --json prints of a file of an export.
type contentLine struct {
	Schema    string `json:"schema"`
	Reference string `json:"reference"`
	File      string `json:"file"`            // below data/ of the bag
	Path      string `json:"path"`            // where it is, or was copied to
	SHA256    string `json:"sha256"`          // as it landed
	State     string `json:"state,omitempty"` // of export: "copied", "linked", or "there" if it was before
}

func (a *app) cat(cmd *cobra.Command, args []string) error {
	store, err := a.openRequired()
	if err != nil {
		return err
	}
	stdout := cmd.OutOrStdout()
	if redacting, ok := stdout.(*cli.RedactingWriter); ok { // content is told as it is
		stdout = &cli.RedactingWriter{To: redacting.To, Redact: func(text string) string { return text }, Final: true}
	}
	newer := false
	for _, arg := range args {
		ref, file, contents, err := a.openContent(store, arg)
		if err != nil {
			return err
		}
		newer = tellNewer(cmd.ErrOrStderr(), ref, contents) || newer
		err = a.catOne(stdout, store, ref, file, contents)
		err = errors.Join(err, contents.Close())
		if output, ok := errors.AsType[*cli.OutputError](err); ok && errors.Is(output, syscall.EPIPE) && cmd.Context().Err() == nil {
			return cli.ExitError(worker.ExitLanded)
		}
		if err != nil {
			return err
		}
	}
	if newer {
		return cli.ExitError(worker.ExitDoubts)
	}
	return nil
}

// tellNewer tells of an export for which the ledger does not vouch, and reports whether it
// is one.
func tellNewer(w io.Writer, ref fetch.Ref, c *archive.Contents) bool {
	if c.Newer {
		fmt.Fprintf(w, "%s: %v\n", ref, archive.ErrNewer)
		cli.PrintHint(w, hintNewerBags)
	}
	return c.Newer
}

// openContent opens the content of the export that an argument names, which may name a
// file of it, too. It returns a UsageError if that names none.
func (a *app) openContent(store *archive.Archive, arg string) (ref fetch.Ref, file string, c *archive.Contents, err error) {
	first, notRef := fetch.ParseRef(arg)
	for end := len(arg); end > 0; end = strings.LastIndexByte(arg[:end], ':') {
		ref, err := fetch.ParseRef(arg[:end])
		if err != nil {
			continue
		}
		c, err := store.Contents(ref.Key())
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		return ref, strings.TrimPrefix(arg[end:], ":"), c, err
	}
	if notRef != nil {
		return ref, "", nil, &cli.UsageError{Err: notRef, Reference: redact.URL(arg)}
	}
	return ref, "", nil, noContent(store, first)
}

// noContent is the error for an export that has not landed.
func noContent(store *archive.Archive, ref fetch.Ref) error {
	if _, _, err := store.State(ref.Key()); err == nil {
		return fmt.Errorf("%s has not landed", ref)
	}
	return &cli.UsageError{Err: fmt.Errorf("%s: %w", ref, worker.ErrUnknownExport), Reference: ref.String()}
}

// catOne prints one file of an export.
func (a *app) catOne(stdout io.Writer, store *archive.Archive, ref fetch.Ref, file string, c *archive.Contents) error {
	paths := c.Paths
	if file != "" {
		file = strings.TrimPrefix(file, "data/")
		if !slices.Contains(paths, file) {
			return cli.Usagef("%s has no file %s%s", ref, file, cli.DidYouMean("", file, paths))
		}
		paths = []string{file}
	}
	if a.JSON {
		for _, path := range paths {
			if err := cli.PrintJSON(stdout, contentLine{"tallyman.content/v1", ref.String(), path, store.Path(ref.Key() + "/data/" + path), c.SHA256(path), ""}); err != nil {
				return err
			}
		}
		return nil
	}
	if len(paths) != 1 {
		list := strings.Join(paths[:min(len(paths), maxListed)], ", ")
		if len(paths) > maxListed {
			list += " and more"
		}
		return cli.Usagef("%s has %s: name one, as %s:FILE: %s", ref, cli.Plural(int64(len(paths)), "file"), ref, list)
	}
	r, err := c.Open(paths[0])
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(stdout, r)
	return err
}
