package cli

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Annotations of flags and commands that help reads.
const (
	headingAnnotation = "tallyman_heading" // of a flag: the heading it stands under
	NotesAnnotation   = "tallyman_notes"   // of a command: the text at the end of its help
)

// GroupFlags puts flags under a heading of the help of their command.
func GroupFlags(flags *pflag.FlagSet, heading string, names ...string) {
	for _, name := range names {
		_ = flags.SetAnnotation(name, headingAnnotation, []string{heading}) // it keeps the others
	}
}

// ShowHelp prints the help of a command: what it is for, examples, usage, flags
// under their headings, and notes.
func ShowHelp(cmd *cobra.Command, _ []string) {
	out := cmd.OutOrStdout()
	fmt.Fprintln(out, strings.TrimSpace(cmp.Or(cmd.Long, cmd.Short+".")))
	ShowUsage(out, cmd)
	if notes := cmd.Annotations[NotesAnnotation]; notes != "" {
		fmt.Fprintf(out, "\n%s\n", notes)
	}
}

// ShowUsage prints examples, usage and flags of a command.
func ShowUsage(out io.Writer, cmd *cobra.Command) {
	if cmd.Example != "" {
		fmt.Fprintf(out, "\nExamples:\n%s\n", cmd.Example)
	}
	fmt.Fprint(out, "\nUsage:\n")
	if cmd.Runnable() && cmd.HasParent() {
		fmt.Fprintf(out, "  %s\n", cmd.UseLine())
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(out, "  %s COMMAND\n\nCommands:\n", cmd.CommandPath())
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() {
				fmt.Fprintf(out, "  %-*s  %s\n", cmd.NamePadding(), sub.Name(), sub.Short)
			}
		}
	}
	for _, g := range flagGroups(cmd) {
		fmt.Fprintf(out, "\n%s:\n%s", g.heading, g.flags.FlagUsages())
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(out, "\n'%s COMMAND --help' tells more about a command.\n", cmd.CommandPath())
	}
}

type flagGroup struct {
	heading string
	flags   *pflag.FlagSet
}

// flagGroups returns the flags of a command by heading, in the order in which
// they were added, and at the end the flags of every command.
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
		if cmd.Root().PersistentFlags().Lookup(f.Name) != nil || f.Name == "help" || f.Name == "version" || f.Hidden {
			return
		}
		heading := "Flags"
		if headings := f.Annotations[headingAnnotation]; len(headings) > 0 {
			heading = headings[0]
		}
		add(heading, f)
	})
	addCommon := func(f *pflag.Flag) { add("Flags of every command", f) }
	cmd.Root().PersistentFlags().VisitAll(addCommon)
	for _, name := range []string{"help", "version"} {
		if f := cmd.Flags().Lookup(name); f != nil {
			addCommon(f)
		}
	}
	return groups
}
