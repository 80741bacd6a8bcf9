package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// groupOf is the annotation of a flag that says under which heading it is
// shown, notesOf that of a command which holds what stands below its flags.
const (
	groupOf = "tallyman_group"
	notesOf = "tallyman_notes"
)

// group puts flags under a heading of their command's help.
func group(flags *pflag.FlagSet, heading string, names ...string) {
	for _, name := range names {
		flags.Lookup(name).Annotations = map[string][]string{groupOf: {heading}}
	}
}

// showHelp is the help of a command: what it is for, then examples, then the
// rest.
func showHelp(cmd *cobra.Command, _ []string) {
	out := cmd.OutOrStdout()
	about := cmd.Long
	if about == "" {
		about = cmd.Short + "."
	}
	fmt.Fprintln(out, strings.TrimSpace(about))
	showUsage(out, cmd)
	if notes := cmd.Annotations[notesOf]; notes != "" {
		fmt.Fprintf(out, "\n%s\n", notes)
	}
}

func showUsage(out io.Writer, cmd *cobra.Command) {
	if cmd.Example != "" {
		fmt.Fprintf(out, "\nExamples:\n%s\n", cmd.Example)
	}
	fmt.Fprint(out, "\nUsage:\n")
	if cmd.Runnable() && cmd.HasParent() {
		fmt.Fprintf(out, "  %s\n", cmd.UseLine())
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(out, "  %s COMMAND\n", cmd.CommandPath())
		showCommands(out, cmd)
	}
	for _, g := range flagGroups(cmd) {
		fmt.Fprintf(out, "\n%s:\n%s", g.heading, g.flags.FlagUsages())
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(out, "\n'%s COMMAND --help' says more of each.\n", cmd.CommandPath())
	}
}

func showCommands(out io.Writer, cmd *cobra.Command) {
	fmt.Fprint(out, "\nCommands:\n")
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			fmt.Fprintf(out, "  %-*s  %s\n", cmd.NamePadding(), sub.Name(), sub.Short)
		}
	}
}

type flagGroup struct {
	heading string
	flags   *pflag.FlagSet
}

// flagGroups are the flags of a command under their headings, in the order in
// which they were added; then those of every command.
func flagGroups(cmd *cobra.Command) []flagGroup {
	var groups []flagGroup
	add := func(heading string, f *pflag.Flag) {
		for _, g := range groups {
			if g.heading == heading {
				g.flags.AddFlag(f)
				return
			}
		}
		flags := pflag.NewFlagSet(heading, pflag.ContinueOnError)
		flags.SortFlags = false
		flags.AddFlag(f)
		groups = append(groups, flagGroup{heading, flags})
	}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if cmd.Root().PersistentFlags().Lookup(f.Name) == nil && f.Name != "help" && f.Name != "version" && !f.Hidden {
			add(strings.Join(append(f.Annotations[groupOf], "Flags")[:1], ""), f)
		}
	})
	rest := func(f *pflag.Flag) { add("Flags of every command", f) }
	cmd.Root().PersistentFlags().VisitAll(rest)
	for _, name := range []string{"help", "version"} {
		if f := cmd.Flags().Lookup(name); f != nil {
			rest(f)
		}
	}
	return groups
}
