package main

import (
	"github.com/spf13/cobra"
)

// completions are the values that a shell offers for flags, where they are
// not files.
func completions(cmd *cobra.Command) {
	for name, values := range map[string][]string{
		"keep": keeps, "network": {"public", "internal"}, "dis-signature": {"derived", "plain"},
		"cause": causes(),
		"since": {"1d", "2d", "7d", "fri"},
	} {
		if cmd.Flags().Lookup(name) != nil {
			fixed := cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)
			_ = cmd.RegisterFlagCompletionFunc(name, fixed) // fails only if there is no such flag
		}
	}
	if cmd.ValidArgsFunction == nil {
		cmd.ValidArgsFunction = cobra.NoFileCompletions // references are no files
	}
}

// plain reports whether a command does no more than talk of others: it needs
// no settings, and must work where they are wrong.
func plain(cmd *cobra.Command) bool {
	for ; cmd.HasParent(); cmd = cmd.Parent() {
		switch cmd.Name() {
		case "completion", "help", cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd:
			return true
		}
	}
	return false
}
