package main

import (
	"github.com/spf13/cobra"

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
			return cli.PrintManual(cmd.OutOrStdout(), page)
		},
	}
}
