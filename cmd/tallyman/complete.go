package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tallyman/cmd/tallyman/internal/flagvalue"
)

// completions are the values that a shell offers for flags, where they are
// not files.
func completions(cmd *cobra.Command) {
	for name, values := range map[string][]string{
		"cause": causes(),
		"since": {"1d", "2d", "7d", "fri"},
	} {
		if cmd.Flags().Lookup(name) != nil {
			fixed := cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)
			_ = cmd.RegisterFlagCompletionFunc(name, fixed) // fails only if there is no such flag
		}
	}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if choice, ok := f.Value.(*flagvalue.Choice); ok {
			_ = cmd.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(choice.Words(), cobra.ShellCompDirectiveNoFileComp))
		}
	})
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
