package main

import (
	"context"
	"fmt"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/fetch"
	"tallyman/verify"
	"tallyman/verify/archive"
	"tallyman/worker"
)

// planCommand is a run of the command fetch with --dry-run.
type planCommand struct {
	app       *app
	providers map[string]fetch.Provider
	archive   *archive.Archive // or nil
	report    *cli.Report
	lister    *prefixLister
}

// planLine is what --json prints of an export that would be fetched.
type planLine struct {
	Schema    string `json:"schema"`
	Reference string `json:"reference"`
	State     string `json:"state"` // "planned"
	Status    string `json:"status"`
	Objects   int    `json:"objects"`
	More      bool   `json:"more,omitempty"`  // there are more objects than were counted
	Bytes     *int64 `json:"bytes,omitempty"` // as transferred; missing unless all objects were counted and have a size
}

// plan reports what fetch would do with one export.
func (c *planCommand) plan(ctx context.Context, ref fetch.Ref) {
	receipt, err := worker.FindReceipt(c.archive, ref)
	if receipt != nil && !c.app.Again { // perhaps for another query
		receipt, err = c.lister.fetcher.Landed(ctx, ref)
	}
	line := planLine{Schema: "tallyman.planned/v1", Reference: ref.String(), State: "planned"}
	switch {
	case receipt != nil && !c.app.Again:
		var changes *cli.Changes
		changes, err = c.lister.changes(ctx, ref)
		if err == nil && (!c.lister.newOnly || !changes.HasMore()) {
			c.report.LandedBefore(ref, receipt, changes)
			return
		}
		if err == nil {
			line.addNew(changes)
		}
	case err == nil || c.app.Again:
		err = line.ask(ctx, c.providers[ref.Scheme()], ref)
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		c.report.End(ref, nil, err)
		return
	}
	c.report.Planned(line, line.String())
}

// maxCountedObjects is where counting the objects of an export ends: at one page
// of the listing of a store.
const maxCountedObjects = 1000

// ask asks for the export and counts its objects.
func (p *planLine) ask(ctx context.Context, provider fetch.Provider, ref fetch.Ref) error {
	export, err := provider.Export(ctx, ref)
	if err != nil {
		return err
	}
	switch export.State {
	case fetch.Ready:
	case fetch.Failed, fetch.Expired:
		return &fetch.JobError{State: export.State, Status: export.Status, Message: export.Message}
	default:
		return &fetch.NotReadyError{State: export.State, Status: export.Status, Percent: export.Percent}
	}
	p.Status = export.Status
	bytes, known := int64(0), true
	for object, err := range export.Objects {
		if err != nil && object.Name != "" && ref.IsPrefix() {
			continue // it would be left out
		}
		if err != nil {
			return err
		}
		if p.Objects == maxCountedObjects {
			p.More = true
			break
		}
		p.Objects++
		bytes += object.Want.Size
		known = known && object.Want.Size != verify.Unknown
	}
	if known && !p.More {
		p.Bytes = &bytes
	}
	return nil
}

// addNew adds the objects that have come to a prefix since it landed.
func (p *planLine) addNew(changes *cli.Changes) {
	p.Objects = changes.New + changes.Changed + changes.LeftOut
	if changes.Size != verify.Unknown {
		p.Bytes = &changes.Size
	}
}

func (p *planLine) String() string {
	s := cli.Plural(int64(p.Objects), "object")
	if p.More {
		s += " and more"
	}
	if p.Bytes != nil {
		s += " of " + flagvalue.FormatSize(*p.Bytes)
	}
	if p.Status != "" {
		s = p.Status + ", " + s
	}
	return fmt.Sprintf("planned  %s  %s", p.Reference, s)
}
