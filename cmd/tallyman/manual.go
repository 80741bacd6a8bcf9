package main

import (
	"cmp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"tallyman/cmd/tallyman/internal/cli"
)

// newManCommand returns the command that prints pages on root and its subcommands.
func newManCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "man [COMMAND]",
		Short: "Print the manual page, or that of a command",
		Example: `  tallyman man | man -l -
  tallyman man fetch >tallyman-fetch.1`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			page, err := findCommand(root, args)
			if err != nil {
				return err
			}
			text := cmp.Or(page.Long, page.Short+".")
			if notes := page.Annotations[cli.NotesAnnotation]; notes != "" {
				text += "\n\n" + notes
			}
			page.Long = strings.ReplaceAll(text, "\n  ", "\n      ") // Markdown fills lines that are indented less
			header := &doc.GenManHeader{Source: "tallyman", Manual: "Tallyman Manual"}
			return doc.GenMan(page, header, cmd.OutOrStdout())
		},
	}
}
