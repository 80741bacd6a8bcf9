package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/fetch"
	"tallyman/fetch/redact"
	"tallyman/verify/archive"
	"tallyman/worker"
)

func newExportCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export REF... DIR",
		Short: "Copy what landed out of the archive",
		Long: `Export copies the content of exports that landed into DIR, each file by its path
below data/ of its bag, and prints the paths. It holds each file against the
manifest of the bag while it copies: one that is damaged gets no name in DIR, and
the exit code is 12. It never overwrites a file: one that is there with the same
bytes is left, and another is an error.

With --link the files are the archive's own, by hard links: DIR must be on the same
file system, and who changes one of them damages the archive.`,
		Example: `  tallyman export sls://cn-hangzhou/ali-test-project/download-123 /tmp/out
  tallyman find --since fri | tallyman export -f - /tmp/out`,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.export(cmd, args) },
	}
	f := cmd.Flags()
	f.StringVarP(&a.References, "file", "f", "", "read references from `FILE` too, one a line;\n- is standard input")
	f.BoolVar(&a.Link, "link", false, "make hard links, and copy nothing")
	a.AddAllowHost(f)
	cli.GroupFlags(f, "What to export", "file", "link", "allow-host")
	return cmd
}

// exportCommand is a run of the command.
type exportCommand struct {
	app     *app
	store   *archive.Archive
	dir     string
	stdout  io.Writer
	stderr  io.Writer
	files   int
	bytes   int64
	failed  int
	damaged bool
	newer   bool // than the ledger
}

func (a *app) export(cmd *cobra.Command, args []string) error {
	if len(args) == 0 || len(args) == 1 && a.References == "" || strings.Contains(args[len(args)-1], "://") {
		return cli.Usagef("Name the exports, and then the directory to copy them to.\nSee '%s --help'", cmd.CommandPath())
	}
	refs, err := a.references(cmd, args[:len(args)-1], a.newProviders())
	if err != nil {
		return err
	}
	c := &exportCommand{app: a, dir: args[len(args)-1], stdout: cmd.OutOrStdout(), stderr: cmd.ErrOrStderr()}
	if c.store, err = a.openRequired(); err != nil {
		return err
	}
	if inArchive(c.store.Path(""), c.dir) {
		return cli.Usagef("%s is in the archive", c.dir)
	}
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return err
	}
	seen := 0
	for ref, err := range refs {
		if seen++; err == nil {
			err = c.exportOne(cmd.Context(), ref)
		}
		if _, isOutput := errors.AsType[*cli.OutputError](err); isOutput || cmd.Context().Err() != nil {
			return cmp.Or(err, context.Cause(cmd.Context()))
		}
		if err == nil {
			continue
		}
		c.failed++
		c.damaged = c.damaged || errors.Is(err, archive.ErrDamaged)
		if seen == 1 && len(args) == 2 && a.References == "" {
			return err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "failed  %s  %s\n", redact.URL(ref.String()), redact.Text(err.Error()))
		cli.PrintHint(cmd.ErrOrStderr(), hint(ref.String(), err))
	}
	if !a.Quiet {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s, %s\n", cli.Plural(int64(c.files), "file"), flagvalue.FormatSize(c.bytes))
	}
	switch {
	case c.damaged:
		return cli.ExitError(worker.ExitDamaged)
	case c.failed > 0:
		return cli.ExitError(worker.ExitSomeFailed)
	case c.newer:
		return cli.ExitError(worker.ExitDoubts)
	}
	return nil
}

// inArchive reports whether a directory, which need not be there yet, is in the archive, or
// is it.
func inArchive(root, dir string) bool {
	real := func(path string) string {
		path, err := filepath.Abs(path)
		for err == nil {
			there, notThere := filepath.EvalSymlinks(path)
			if notThere == nil {
				return strings.TrimSuffix(there, string(filepath.Separator)) + string(filepath.Separator)
			}
			if !errors.Is(notThere, fs.ErrNotExist) {
				err = notThere
			}
			path = filepath.Dir(path) // of what is yet to be made, its parent tells where it is
		}
		return "?"
	}
	return strings.HasPrefix(real(dir), real(root))
}

// exportOne copies the files of one export, and tells of each.
func (c *exportCommand) exportOne(ctx context.Context, ref fetch.Ref) error {
	contents, err := c.store.Contents(ref.Key())
	if errors.Is(err, fs.ErrNotExist) {
		return noContent(c.store, ref)
	}
	if err != nil {
		return err
	}
	defer contents.Close()
	c.newer = tellNewer(c.stderr, ref, contents) || c.newer
	for _, path := range contents.Paths {
		line := contentLine{"tallyman.content/v1", ref.String(), path, filepath.Join(c.dir, filepath.FromSlash(path)), contents.SHA256(path), "copied"}
		if c.app.Link {
			line.State = "linked"
		}
		n, err := c.exportFile(ctx, contents, &line, c.store.Path(ref.Key()+"/data/"+path))
		if err != nil {
			return err
		}
		c.files++
		c.bytes += n
		switch {
		case c.app.JSON:
			err = cli.PrintJSON(c.stdout, line)
		case c.app.Quiet:
			_, err = fmt.Fprintln(c.stdout, line.Path)
		default:
			_, err = fmt.Fprintf(c.stdout, "%-6s  %s  %s\n", line.State, line.Path, flagvalue.FormatSize(n))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

var errOtherFile = errors.New("there is another file of that name, which is left as it is")

// exportFile copies or links one file, which has its name only once it is whole. It
// returns its size.
func (c *exportCommand) exportFile(ctx context.Context, contents *archive.Contents, line *contentLine, source string) (n int64, err error) {
	if _, err := os.Lstat(line.Path); err == nil {
		n, sum, err := hashOf(line.Path)
		if err == nil && sum != line.SHA256 {
			err = errOtherFile
		}
		if err != nil {
			return 0, fmt.Errorf("%s: %w", line.Path, err)
		}
		line.State = "there"
		return n, nil
	}
	r, err := contents.Open(line.File)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	if err := os.MkdirAll(filepath.Dir(line.Path), 0o755); err != nil {
		return 0, err
	}
	to := io.Discard
	if !c.app.Link {
		source = filepath.Join(filepath.Dir(line.Path), ".tallyman-"+rand.Text())
		f, err := os.OpenFile(source, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if err != nil {
			return 0, err
		}
		defer os.Remove(source)
		defer f.Close()
		to = f
	}
	stop := context.AfterFunc(ctx, func() { r.Close() })
	defer stop()
	if n, err = io.Copy(to, r); err != nil {
		return 0, cmp.Or(context.Cause(ctx), err)
	}
	if f, ok := to.(*os.File); ok {
		if err := f.Sync(); err != nil {
			return 0, err
		}
	}
	err = os.Link(source, line.Path)                                                                // which fails if a file is there
	if !c.app.Link && (errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrPermission)) { // there are no links, as on FAT
		err = os.Rename(source, line.Path)
	}
	if errors.Is(err, fs.ErrExist) {
		err = fmt.Errorf("%s: %w", line.Path, errOtherFile)
	}
	return n, err
}

// hashOf returns the size of a file and its SHA-256 in hex.
func hashOf(path string) (n int64, sum string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	h := sha256.New()
	n, err = io.Copy(h, f)
	return n, hex.EncodeToString(h.Sum(nil)), err
}
