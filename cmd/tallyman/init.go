package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/verify/archive"
)

func newInitCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "init [DIR]",
		Short: "Make an archive, or show the ID of one that is there",
		Long: `Init makes an archive of DIR, or else of the directory of --archive, and prints
its ID. It makes the directory if need be, and those above it. An archive that is
there stays as it is.

Fetch and worker make an archive by themselves only where there is no directory,
in one that there is. A directory that is there and has no archive may be where a
disk is not mounted: they refuse it until init has been told to make one.

With --archive-id the new archive has that ID, 32 hexadecimal digits. A directory
that holds exports, but has lost its archive.json, becomes an archive only so.`,
		Example: `  tallyman init /mnt/archive
  tallyman worker --archive /mnt/archive --archive-id $(tallyman init -q /mnt/archive)`,
		Args: usageArgs(cobra.MaximumNArgs(1)),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.init(cmd, args) },
	}
}

// initLine is what --json prints.
type initLine struct {
	Schema    string `json:"schema"`
	State     string `json:"state"` // "made", or "there" if it was before
	Path      string `json:"path"`
	ArchiveID string `json:"archive_id"`
}

func (a *app) init(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		a.Archive = args[0]
	}
	if a.Archive == "" {
		return cli.Usagef("DIR must be a directory, and is empty")
	}
	may := archive.SiteOccupied
	if a.ArchiveID != "" {
		may = archive.SiteExports
	}
	store, err := a.openArchive(may)
	if err != nil {
		return err
	}
	line, said := initLine{"tallyman.init/v1", "there", a.Archive, store.ID()}, "there is an archive"
	if store.Made {
		line.State, said = "made", "made an archive"
	}
	switch stdout := cmd.OutOrStdout(); {
	case a.JSON:
		return cli.PrintJSON(stdout, line)
	case a.Quiet:
		_, err = fmt.Fprintln(stdout, line.ArchiveID)
	default:
		_, err = fmt.Fprintf(stdout, "%s in %s: its ID is %s\n", said, line.Path, line.ArchiveID)
	}
	return err
}
