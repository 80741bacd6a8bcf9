package cli

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// PrintManual prints the manual page of a command, in the macros of man(7), with
// what its help says. It has no date, so the same program prints the same page.
func PrintManual(out io.Writer, cmd *cobra.Command) error {
	var page bytes.Buffer
	section := func(name string) { fmt.Fprintf(&page, ".SH %s\n", name) }
	fmt.Fprintf(&page, ".TH %q \"1\" \"\" \"tallyman\" \"Tallyman Manual\"\n.nh\n.ad l\n", strings.ToUpper(pageName(cmd)))
	section("NAME")
	fmt.Fprintf(&page, "%s \\- %s\n", roff(pageName(cmd)), roff(cmd.Short))
	section("SYNOPSIS")
	usage := cmd.UseLine()
	if cmd.HasAvailableSubCommands() {
		usage = cmd.CommandPath() + " COMMAND"
	}
	fmt.Fprintf(&page, "\\fB%s\\fP\n", roff(usage))
	section("DESCRIPTION")
	text := strings.TrimSpace(cmp.Or(cmd.Long, cmd.Short+"."))
	if notes := cmd.Annotations[NotesAnnotation]; notes != "" {
		text += "\n\n" + notes
	}
	printParagraphs(&page, text)
	if cmd.HasAvailableSubCommands() {
		section("COMMANDS")
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() {
				fmt.Fprintf(&page, ".TP\n\\fB%s\\fP\n%s\n", roff(sub.Name()), roff(sub.Short))
			}
		}
	}
	section("OPTIONS")
	cmd.InitDefaultHelpFlag()
	for _, group := range flagGroups(cmd) {
		fmt.Fprintf(&page, ".SS %s\n", roff(group.heading))
		group.flags.VisitAll(func(f *pflag.Flag) { printOption(&page, f) })
	}
	if cmd.Example != "" {
		section("EXAMPLES")
		printParagraphs(&page, cmd.Example)
	}
	section("SEE ALSO")
	var others []string
	for _, other := range append([]*cobra.Command{cmd.Root()}, cmd.Commands()...) {
		if other != cmd && (other == cmd.Root() || other.IsAvailableCommand()) {
			others = append(others, fmt.Sprintf("\\fB%s\\fP(1)", roff(pageName(other))))
		}
	}
	fmt.Fprintln(&page, strings.Join(others, ",\n"))
	_, err := page.WriteTo(out)
	return err
}

// pageName is the name of the page of a command: tallyman-fetch.
func pageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

func printOption(page *bytes.Buffer, f *pflag.Flag) {
	value, usage := pflag.UnquoteUsage(f)
	page.WriteString(".TP\n")
	if f.Shorthand != "" {
		fmt.Fprintf(page, "\\fB\\-%s\\fP, ", f.Shorthand)
	}
	fmt.Fprintf(page, "\\fB%s\\fP", roff("--"+f.Name))
	if value != "" {
		fmt.Fprintf(page, " \\fI%s\\fP", roff(value))
	}
	if !slices.Contains([]string{"", "0", "false", "[]"}, f.DefValue) {
		usage += " (default " + f.DefValue + ")"
	}
	fmt.Fprintf(page, "\n%s\n", roff(usage))
}

// printParagraphs prints a text whose paragraphs have an empty line between them. Lines
// that are indented stay as they are.
func printParagraphs(page *bytes.Buffer, text string) {
	literal := false
	for line := range strings.SplitSeq(text, "\n") {
		if indented := strings.HasPrefix(line, "  "); indented != literal {
			page.WriteString(map[bool]string{true: ".EX\n", false: ".EE\n"}[indented])
			literal = indented
		}
		if line == "" {
			line = ".PP"
		} else {
			line = roff(line)
		}
		page.WriteString(line + "\n")
	}
	if literal {
		page.WriteString(".EE\n")
	}
}

// escapes keep roff from taking a character for an escape, or for one that only looks
// like it: what is shown can be copied.
var escapes = strings.NewReplacer(`\`, `\e`, "-", `\-`, "~", `\(ti`, "^", `\(ha`, "`", `\(ga`, "'", `\(aq`)

// roff escapes a text, of which no line is to be taken for a macro.
func roff(text string) string {
	lines := strings.Split(escapes.Replace(text), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
