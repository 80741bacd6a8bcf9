package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/fetch/redact"
	"tallyman/worker"
)

// exportStates are all states of exports, in the order in which they are listed.
var exportStates = []worker.ExportState{
	worker.StateLanded, worker.StateRunning, worker.StateWaiting, worker.StateQueued, worker.StateIdle, worker.StateFailed, worker.StateCancelled,
}

// countsLine is the last line of --json.
type countsLine struct {
	Schema string                     `json:"schema"`
	Counts map[worker.ExportState]int `json:"counts"`
	Doubts int                        `json:"doubts"` // exports that landed with doubts

	NotReady int    `json:"not_ready,omitempty"` // exports that count as failed, since their jobs were not ready in time
	Aside    int    `json:"aside,omitempty"`     // tasks that can't be read
	Odd      int    `json:"odd,omitempty"`       // exports whose state can't be read
	Accepted int    `json:"accepted,omitempty"`  // exports of which what is wrong is accepted
	Away     string `json:"away,omitempty"`      // why Redis does not answer: what is in the queue alone is not counted
}

func (c *statusCommand) printCounts() {
	if c.app.JSON {
		for _, state := range exportStates {
			c.counts[state] += 0
		}
		counts := countsLine{"tallyman.counts/v1", c.counts, c.doubts, c.notReady, len(c.reader.Quarantined), len(c.reader.Unreadable), c.accepted, ""}
		if c.away != nil {
			counts.Away = redact.Text(c.away.Error())
		}
		_ = cli.PrintJSON(c.stdout, counts)
		return
	}
	c.printListed()
	parts := []string{cli.LandedCount(c.counts[worker.StateLanded], 0, c.doubts)}
	for _, state := range exportStates[1:] {
		n := c.counts[state]
		if state == worker.StateFailed {
			n -= c.notReady + c.gone
		}
		if n > 0 || state == worker.StateFailed {
			parts = append(parts, fmt.Sprintf("%d %s", n, state))
		}
	}
	if c.notReady > 0 {
		parts = append(parts, fmt.Sprintf("%d not ready", c.notReady))
	}
	if c.gone > 0 {
		parts = append(parts, fmt.Sprintf("%d damaged or gone", c.gone))
	}
	if c.accepted > 0 {
		parts = append(parts, fmt.Sprintf("%d accepted", c.accepted))
	}
	fmt.Fprintln(c.stdout, strings.Join(parts, ", "))
	if n := len(c.reader.Quarantined); n > 0 {
		fmt.Fprintf(c.stdout, "%s in the queue can't be read, and no worker takes them:\n", cli.Plural(int64(n), "task"))
		slices.SortFunc(c.reader.Quarantined, func(a, b worker.QueuedTask) int { return strings.Compare(a.ID, b.ID) })
		for _, task := range c.reader.Quarantined[:min(n, maxListed)] {
			fmt.Fprintf(c.stdout, "  %s  %s\n", cmp.Or(task.ID, "?"), task.Why)
		}
		if n > maxListed {
			fmt.Fprintln(c.stdout, "  and more")
		}
	}
	if n := len(c.reader.Unreadable); n > 0 {
		fmt.Fprintf(c.stdout, "%s with a state that this version can't read: %q\n", cli.Plural(int64(n), "export"), c.reader.Unreadable[:min(n, maxListed)])
	}
}

// maxListed is how many exports of a state are listed, unless they have failed.
const maxListed = 20

func (c *statusCommand) printListed() {
	slices.SortStableFunc(c.listed, func(a, b *statusLine) int {
		return cmp.Or(slices.Index(exportStates, a.State)-slices.Index(exportStates, b.State), strings.Compare(a.Reference, b.Reference))
	})
	printed, groups := map[string]int{}, map[string][]*statusLine{}
	for _, line := range c.listed {
		groups[line.group()] = append(groups[line.group()], line)
	}
	for _, line := range c.listed {
		group := groups[line.group()]
		size := len(group)
		if line.State == worker.StateLanded && line.Accepted == "" {
			size = max(size, c.doubts) // of many that landed, some of the doubted are in the list
		}
		printed[line.group()]++
		switch n := printed[line.group()]; {
		case line.State == worker.StateFailed && line.Accepted == "" && line.Path == "":
			if n == 1 {
				c.printGroup(group)
			}
		case n <= maxListed:
			c.print(*line)
		case n == maxListed+1:
			fmt.Fprintf(c.stdout, "%-9s and %d more: --json lists all\n", line.State, size-maxListed)
		}
	}
}

// printGroup prints exports that failed by one cause: a sample, how many there are and since
// when, and the command for all of them.
func (c *statusCommand) printGroup(group []*statusLine) {
	sample := group[0].withHint()
	first, last := sample.Changed, sample.Changed
	for _, line := range group {
		if line.Changed != nil && (first == nil || line.Changed.Before(*first)) {
			first = line.Changed
		}
		if line.Changed != nil && (last == nil || line.Changed.After(*last)) {
			last = line.Changed
		}
	}
	isVain := slices.Contains(retryIsVain, sample.Cause)
	command, age := sample.Command, ""
	if first != nil {
		age = ", " + cli.FormatAge(*last, time.Now())
	}
	if len(group) > 1 {
		if age != "" && cli.FormatAge(*first, time.Now()) != cli.FormatAge(*last, time.Now()) {
			age = ", first " + cli.FormatAge(*first, time.Now()) + ", last" + strings.TrimPrefix(age, ",")
		}
		command = "tallyman retry --cause " + string(sample.Cause)
	}
	list := ""
	if len(group) > 1 && sample.Cause != "" {
		list = "; all of them: tallyman find --phase failed --cause " + string(sample.Cause)
	}
	sample.Command = ""
	c.print(sample)
	fmt.Fprintf(c.stdout, "          %s by %s%s%s\n", cli.Plural(int64(len(group)), "export"), cmp.Or(string(sample.Cause), "no cause that is known"), age, list)
	hint := ""
	if sample.Hint != "" {
		hint = "   # " + sample.Hint
	}
	if command != "" && !(isVain && len(group) > 1) {
		fmt.Fprintf(c.stdout, "          %s%s\n", command, hint)
		hint = ""
	} else if isVain {
		fmt.Fprintf(c.stdout, "          %s\n", sample.Hint)
		hint = ""
	}
	if sample.Cause == "job-failed" || sample.Cause == "not-found" || isVain {
		which := cli.ShellQuote(sample.Reference)
		if len(group) > 1 {
			which = "--cause " + string(sample.Cause)
		}
		if hint == "" {
			hint = "   #"
		} else {
			hint += ";"
		}
		fmt.Fprintf(c.stdout, "          tallyman forget %s --reason TEXT%s this takes it out of the lists, and deletes nothing\n", which, hint)
	}
}
