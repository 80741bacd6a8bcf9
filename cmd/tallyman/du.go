package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/fetch/redact"
	"tallyman/verify/archive/catalog"
)

func newDuCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "du [PLACE...]",
		Short: "Tell how much each place holds",
		Long: `Du adds up the bytes of content, the exports and the records of each place, or of
those places, exports or beginnings of references that are named, and of all together.
Records that could not be counted are not among them. With -q it prints the bytes
of all together alone.`,
		Example: `  tallyman du
  tallyman du sls://cn-hangzhou/ali-test-project/`,
		ValidArgsFunction: a.completePlaces,
		RunE:              func(cmd *cobra.Command, args []string) error { return a.du(cmd, args) },
	}
	a.AddCatalog(cmd.Flags())
	return cmd
}

// usageLine is what --json prints of a place.
type usageLine struct {
	Schema  string `json:"schema"`
	Place   string `json:"place"` // or what was named; "" of all together, which is the last
	Bytes   int64  `json:"bytes"` // of content
	Exports int64  `json:"exports"`
	Records int64  `json:"records"` // as far as they could be counted
}

func (a *app) du(cmd *cobra.Command, args []string) error {
	store, err := a.openRequired()
	if err != nil {
		return err
	}
	c, err := a.openCatalog(cmd, store)
	if err != nil {
		return err
	}
	defer c.Close()
	var lines []usageLine
	if len(args) == 0 {
		lines, err = placeUsage(c)
	} else {
		lines, err = namedUsage(c, args)
	}
	if err != nil {
		return err
	}
	total := usageLine{Schema: "tallyman.usage/v1"}
	for _, line := range lines {
		total.Bytes += line.Bytes
		total.Exports += line.Exports
		total.Records += line.Records
	}
	stdout := cmd.OutOrStdout()
	if a.Quiet && !a.JSON {
		_, err = fmt.Fprintln(stdout, total.Bytes)
		lines = nil
	} else {
		lines = append(lines, total)
	}
	for _, line := range lines {
		name := redact.URL(line.Place)
		if name == "" {
			name = "all"
		}
		if a.JSON {
			err = cli.PrintJSON(stdout, line)
		} else {
			_, err = fmt.Fprintf(stdout, "%9s  %8d exports  %12d records  %s\n", flagvalue.FormatSize(line.Bytes), line.Exports, line.Records, name)
		}
		if err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	return cutOf(c)
}

// kept are the phases of exports that have a bag, whole or not.
var kept = []catalog.Phase{catalog.Landed, catalog.Damaged}

// placeUsage is what each place holds.
func placeUsage(c *catalog.Catalog) (lines []usageLine, err error) {
	for place, err := range c.Places() {
		if err != nil {
			return nil, err
		}
		line := usageLine{Schema: "tallyman.usage/v1", Place: place.Name}
		for _, phase := range kept {
			line.Bytes += place.Phases[phase].Bytes
			line.Exports += place.Phases[phase].Exports
			line.Records += place.Phases[phase].Records
		}
		if line.Exports > 0 {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

// namedUsage is what those hold that arguments name.
func namedUsage(c *catalog.Catalog, args []string) (lines []usageLine, err error) {
	filters, err := filtersOf(c, args)
	if err != nil {
		return nil, err
	}
	for i, f := range filters {
		f.Phases = kept
		sum, err := c.Count(f)
		if err != nil {
			return nil, err
		}
		lines = append(lines, usageLine{"tallyman.usage/v1", args[i], sum.Bytes, sum.Exports, sum.Records})
	}
	return lines, nil
}
