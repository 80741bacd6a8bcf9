package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/fetch"
	"tallyman/verify"
	"tallyman/verify/archive"
	"tallyman/worker"
)

// plan asks each job once and tells what fetch would fetch. It writes nothing.
func (o *options) plan(cmd *cobra.Command, refs *references) error {
	store, err := o.existing()
	if err != nil {
		return err
	}
	out := newReport(cmd.OutOrStdout(), cmd.ErrOrStderr(), o, store)
	defer out.close()
	p := &planning{o, refs.providers, store, out}
	each(cmd.Context(), refs, o.parallel, out, p.ask)
	return out.exit()
}

// existing is the archive, or nil if there is none yet.
func (o *options) existing() (*archive.Archive, error) {
	store, err := archive.OpenExisting(o.archive)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return store, err
}

type planning struct {
	o         *options
	providers map[string]fetch.Provider
	store     *archive.Archive // or nil
	out       *report
}

func (p *planning) ask(ctx context.Context, ref fetch.Ref) {
	receipt, err := worker.FindReceipt(p.store, ref)
	if receipt != nil && !p.o.again {
		p.out.skip(ref, receipt)
		return
	}
	found := planned{Schema: "tallyman.planned/v1", Reference: ref.String(), State: "planned"}
	if err == nil || p.o.again {
		err = found.ask(ctx, p.providers[ref.Scheme()], ref)
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	p.out.planned(ref, found, err)
}

// notReady is the error of an export that has no objects.
func notReady(export *fetch.Export) error {
	switch export.State {
	case fetch.Ready:
		return nil
	case fetch.Failed, fetch.Expired:
		return &fetch.JobError{State: export.State, Status: export.Status, Message: export.Message}
	}
	return &fetch.NotReadyError{State: export.State, Status: export.Status, Percent: export.Percent}
}

// planned is what --dry-run prints of an export that would be fetched.
type planned struct {
	Schema    string `json:"schema"`
	Reference string `json:"reference"`
	State     string `json:"state"` // "planned"
	Status    string `json:"status"`
	Objects   int    `json:"objects"`
	More      bool   `json:"more,omitempty"`  // objects than were counted
	Bytes     *int64 `json:"bytes,omitempty"` // as transferred, where all that were counted say it
}

func (p *planned) ask(ctx context.Context, provider fetch.Provider, ref fetch.Ref) error {
	export, err := provider.Export(ctx, ref)
	if err == nil {
		err = notReady(export)
	}
	if err != nil {
		return err
	}
	p.Status = export.Status
	return p.count(export)
}

// mostCounted is where counting the objects of an export ends: at a page of
// what a store lists.
const mostCounted = 1000

func (p *planned) count(export *fetch.Export) error {
	bytes, known := int64(0), true
	for object, err := range export.Objects {
		if err != nil {
			return err
		}
		if p.Objects == mostCounted {
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

func (p *planned) String() string {
	s := plural(int64(p.Objects), "object")
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
