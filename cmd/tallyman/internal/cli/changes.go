package cli

import (
	"fmt"
	"io"
	"strings"

	"tallyman/fetch"
	"tallyman/fetch/redact"
)

// Changes is what has changed under a prefix since it landed. It is nil for an export
// that was not asked for again.
type Changes struct {
	fetch.Changes
	Err     error  // why it is not known
	Command string // that fetches what is new or has changed
}

// HasNew reports whether something is new or has changed. It may be called on nil.
func (c *Changes) HasNew() bool { return c != nil && c.New+c.Changed > 0 }

// HasMore reports whether something may be fetched that has not landed: what is new, has
// changed, or was left out. It may be called on nil.
func (c *Changes) HasMore() bool { return c.HasNew() || c != nil && c.LeftOut > 0 }

// changesLine is what --json prints of Changes.
type changesLine struct {
	New     int      `json:"new"`
	Changed int      `json:"changed"`
	LeftOut int      `json:"left_out,omitempty"` // when it landed, as the doubts say
	Gone    int      `json:"gone"`
	Names   []string `json:"names,omitempty"` // of the first that are new or have changed
	Error   string   `json:"error,omitempty"` // why it is not known
	Command string   `json:"command,omitempty"`
}

func (c *Changes) line() *changesLine {
	switch {
	case c == nil:
		return nil
	case c.Err != nil:
		return &changesLine{Error: redact.Text(c.Err.Error())}
	}
	line := &changesLine{New: c.New, Changed: c.Changed, LeftOut: c.LeftOut, Gone: c.Gone, Names: c.Names}
	if c.HasNew() {
		line.Command = c.Command
	}
	return line
}

// print prints what has changed. What is new or has changed is a doubt, which is
// printed even if the output is quiet.
func (c *Changes) print(w io.Writer, reference string, quiet bool) {
	switch {
	case c.Err != nil && !quiet:
		fmt.Fprintf(w, "%s: whether it has changed since is not known: %s\n", reference, redact.Text(c.Err.Error()))
	case c.Gone > 0 && !quiet:
		fmt.Fprintf(w, "%s: gone from the source since it landed: %s\n", reference, Plural(int64(c.Gone), "object"))
	}
	if !c.HasNew() {
		return
	}
	var counts, names []string
	if c.New > 0 {
		counts = append(counts, fmt.Sprintf("%d new", c.New))
	}
	if c.Changed > 0 {
		counts = append(counts, fmt.Sprintf("%d changed", c.Changed))
	}
	for _, name := range c.Names {
		names = append(names, fmt.Sprintf("%q", name))
	}
	if c.New+c.Changed > len(names) {
		names = append(names, "…")
	}
	text := strings.Join(counts, ", ") + " since it landed: " + strings.Join(names, ", ")
	fmt.Fprintf(w, "%s: doubt: grown: %s\n", reference, redact.Text(text))
	PrintHint(w, c.Command)
}
