package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/verify"
	"tallyman/verify/archive"
)

// PrintJSON prints v as JSON on one line.
func PrintJSON(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) }

// PrintHint prints a hint to the user, if there is one.
func PrintHint(w io.Writer, hint string) {
	if hint != "" {
		fmt.Fprintf(w, "hint: %s\n", hint)
	}
}

// PrintChecks prints each promise of a receipt and whether it was kept.
func PrintChecks(w io.Writer, receipt *archive.Receipt) {
	printCheck := func(c verify.Check) {
		got := ""
		if c.Got != "" {
			got = ", got " + c.Got
		}
		fmt.Fprintf(w, "   %-8s promised %s%s: %s\n", c.Check, c.Want, got, c.Verdict)
	}
	for _, object := range receipt.Objects {
		for _, check := range object.Checks {
			printCheck(check)
		}
		if object.Proof != "" {
			fmt.Fprintf(w, "   proof    %s of %s\n", object.Proof, object.Name)
		}
	}
	for _, check := range receipt.Checks {
		printCheck(check)
	}
	if receipt.HeadersCounted {
		fmt.Fprintf(w, "   headers  the promise of records holds only if the header in %s counts as a record\n", Plural(receipt.Headers, "file"))
	}
}

// Summary says how much landed, such as "1.2GiB in 1 file, 9120330 rows and a header".
func Summary(receipt *archive.Receipt) string {
	s := fmt.Sprintf("%s in %s", flagvalue.FormatSize(receipt.Bytes), Plural(int64(receipt.Files), "file"))
	if receipt.Records >= 0 {
		s += ", " + receipt.Rows("row")
	}
	return s
}

// LandedCount says how many exports landed, how many of them had landed before, and
// how many have doubts.
func LandedCount(landed, before, doubted int) string {
	var parts []string
	if before > 0 {
		parts = append(parts, fmt.Sprintf("%d before", before))
	}
	if doubted > 0 {
		parts = append(parts, fmt.Sprintf("%d with doubts", doubted))
	}
	if len(parts) == 0 {
		return fmt.Sprintf("%d landed", landed)
	}
	return fmt.Sprintf("%d landed (%s)", landed, strings.Join(parts, ", "))
}

// FormatDay returns a day as a person says it, such as "30 Nov", with the year if
// that is not the present one.
func FormatDay(t, now time.Time) string {
	if t, now = t.Local(), now.Local(); t.Year() == now.Year() {
		return t.Format("2 Jan")
	}
	return t.Format("2 Jan 2006")
}

// Plural returns n with a noun, such as "1 file" or "2 files".
func Plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// ShellQuote returns text as a shell has to read it to get text: in quotes, if
// a part of it would mean something else to the shell.
func ShellQuote(text string) string {
	if !strings.ContainsAny(text, " \t\"'`$&|;<>()[]{}*?#~!\\") {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// Confirm asks a question of whoever sits at the terminal, and reports whether the
// answer was yes. Where stdin or stderr is no terminal, nobody is asked: that is a yes.
// It fails with the cause of ctx once that ends.
func Confirm(ctx context.Context, stdin io.Reader, stderr io.Writer, question string) (bool, error) {
	in, ok := stdin.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) || terminal(stderr) == nil {
		return true, nil
	}
	fmt.Fprintf(stderr, "%s [y/N] ", question)
	answers := make(chan string, 1)
	go func() {
		answer, _ := bufio.NewReader(in).ReadString('\n')
		answers <- strings.ToLower(strings.TrimSpace(answer))
	}()
	select {
	case answer := <-answers:
		return answer == "y" || answer == "yes", nil
	case <-ctx.Done():
		fmt.Fprintln(stderr)
		return false, context.Cause(ctx)
	}
}

// FormatAge says how long ago something was, such as "3 h ago", or "never".
func FormatAge(at, now time.Time) string {
	if at.IsZero() {
		return "never"
	}
	age := formatSpan(now.Sub(at))
	if age == "" {
		return "just now"
	}
	return age + " ago"
}

// FormatDue says when something is due, such as "in 3 h", or that it is late.
func FormatDue(at, now time.Time) string {
	if ahead := formatSpan(at.Sub(now)); ahead != "" {
		return "in " + ahead
	}
	if late := formatSpan(now.Sub(at)); late != "" {
		return "late by " + late
	}
	return "now"
}

// formatSpan is a span of time to one digit or two, or "" if it is less than a minute.
func formatSpan(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Minute:
		return ""
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 2*day:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d d", d/day)
}
