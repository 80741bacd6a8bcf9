package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/cmd/tallyman/internal/page"
	"tallyman/fetch"
	"tallyman/fetch/redact"
	"tallyman/verify/archive"
	"tallyman/verify/archive/catalog"
	"tallyman/verify/archive/ledger"
	"tallyman/worker"
)

// How many exports the page does something to at once, of how many of them it looks up what
// was received, and how many it shows.
const (
	maxActedOn  = 100_000
	maxReceived = 1000
	maxSample   = 10
)

// Offers implements page.Actor. Whoever has no queue can only accept.
func (o *observer) Offers(v page.Verb) bool { return o.queue != nil || v == page.Accept }

// Plan implements page.Actor.
func (o *observer) Plan(ctx context.Context, a page.Action) (plan page.Plan, err error) {
	err = o.ask(ctx, func(c *statusCommand) error {
		if err := o.checkQueue(ctx, a); err != nil {
			return err
		}
		if a.Ref != "" {
			ref, detail, err := o.single(ctx, a)
			plan = page.Plan{Exports: 1, Sample: []string{ref.String()}, Detail: detail, Command: commandOf(a)}
			return err
		}
		if a.IsOne() {
			acceptance, detail, err := o.ofPlace(c, a)
			plan = page.Plan{Exports: 1, Sample: []string{acceptance.Reference}, Detail: detail, Command: commandOf(a)}
			return err
		}
		plan, err = o.planGroup(c, a)
		return err
	})
	return plan, unsecretRefusal(err)
}

// A found is an export, or a place that can't be listed, that an action is for.
type found struct{ key, ref string }

// find looks up what an action is for. It fails with a *page.ChangedError if that is not what
// was agreed to.
func (o *observer) find(ctx context.Context, a page.Action, agreed page.Agreement) (all []found, err error) {
	err = o.ask(ctx, func(c *statusCommand) error {
		if err := o.checkQueue(ctx, a); err != nil {
			return err
		}
		if a.Ref != "" {
			ref, _, err := o.single(ctx, a)
			all = append(all, found{ref.Key(), ref.String()})
			return err
		}
		if a.IsOne() {
			acceptance, _, err := o.ofPlace(c, a)
			all = append(all, found{ref: acceptance.Reference})
			return err
		}
		plan, err := o.planGroup(c, a)
		if err == nil {
			err = agreed.Check(plan)
		}
		if err != nil {
			return err
		}
		f, _ := filterOf(c.catalog, a) // which planGroup has used
		for e, err := range c.catalog.Exports(f) {
			if err != nil {
				return err
			}
			all = append(all, found{e.Key, e.Ref})
		}
		return nil
	})
	return all, unsecretRefusal(err)
}

// Begin implements page.Actor.
func (o *observer) Begin(ctx context.Context, a page.Action, agreed page.Agreement) (do func(func(page.Result)), exports int64, err error) {
	all, err := o.find(ctx, a, agreed)
	if err != nil {
		return nil, 0, err
	}
	o.acting.Add(1)
	return func(report func(page.Result)) {
		defer o.acting.Done()
		var failed atomic.Int64
		var group errgroup.Group
		group.SetLimit(maxConcurrentEnqueues)
		for _, e := range all {
			if o.ctx.Err() != nil {
				break
			}
			group.Go(func() error {
				said, err := o.act(a, e.key, e.ref)
				result := page.Result{Ref: e.ref, Said: said}
				if err != nil {
					failed.Add(1)
					result.Err, result.Hint = redact.Text(err.Error()), redact.Text(hint(e.ref, err))
				}
				report(result)
				return nil
			})
		}
		_ = group.Wait() // none fails
		o.stale.Store(true)
		o.log.Info("done for the page", "verb", string(a.Verb), "exports", len(all), "failed", failed.Load(), "by", a.By)
	}, int64(len(all)), nil
}

// checkQueue fails unless the queue can be used for an action, if it needs one.
func (o *observer) checkQueue(ctx context.Context, a page.Action) error {
	if a.Verb == page.Accept {
		return nil
	}
	return o.queue.CheckArchive(ctx, o.archive.ID())
}

// unsecretRefusal is unsecret for the errors of a page.Actor.
func unsecretRefusal(err error) error {
	refused, isRefused := errors.AsType[*page.RefusedError](err)
	changed, isChanged := errors.AsType[*page.ChangedError](err)
	switch {
	case isRefused:
		return &page.RefusedError{Why: redact.Text(refused.Why)}
	case isChanged:
		return changed
	}
	return unsecret(err)
}

// client is what acts for a person.
func (o *observer) client(by string) *worker.Client {
	return &worker.Client{Archive: o.archive, Queue: o.queue, Profile: o.app.profile, By: by}
}

// single is the one export that an action is for, and what is to be known of it before.
func (o *observer) single(ctx context.Context, a page.Action) (ref fetch.Ref, detail []string, err error) {
	named, err := fetch.ParseRef(a.Ref)
	if err != nil || named.Signed() {
		return ref, nil, fmt.Errorf("%s: %w", redact.URL(a.Ref), fs.ErrNotExist)
	}
	if ref, err = o.refAt(named.Key(), named.String(), a.Verb); err != nil {
		return ref, nil, refusal(err)
	}
	reader, err := (&worker.Client{Archive: o.archive}).Status(ctx)
	if err != nil {
		return ref, nil, err
	}
	status, err := reader.Export(ref)
	switch {
	case errors.Is(err, worker.ErrUnknownExport):
		return ref, nil, fmt.Errorf("%s: %w", ref, fs.ErrNotExist)
	case err != nil:
		return ref, nil, refusal(err)
	case a.Verb == page.Accept:
		acceptance, err := ofExport(o.archive, reader, ref)
		if acceptance.Message != "" {
			detail = []string{redact.Text(acceptance.Cause + ": " + acceptance.Message)}
		}
		for _, doubt := range acceptance.Doubts {
			detail = append(detail, redact.Text(doubt))
		}
		return ref, detail, refusal(err)
	case status.Receipt != nil:
		return ref, nil, &page.RefusedError{Why: fmt.Sprintf("%s has landed.", ref)}
	case a.Verb == page.Cancel && status.State == worker.StateCancelled:
		return ref, nil, &page.RefusedError{Why: fmt.Sprintf("%s is cancelled already.", ref)}
	}
	for _, err := range namedToRetry(o.client(""), []fetch.Ref{ref}) {
		if err != nil {
			return ref, nil, refusal(err)
		}
	}
	detail = append(detail, "It is "+describe(status)+".")
	if a.Verb == page.Cancel && status.Received > 0 {
		detail = append(detail, flagvalue.FormatSize(status.Received)+" of it were received.")
	}
	return ref, detail, nil
}

// ofPlace is what an action accepts of a place: the error by which it can't be listed, or that
// it lacks a time; and what is to be known of that before.
func (o *observer) ofPlace(c *statusCommand, a page.Action) (acceptance archive.Acceptance, detail []string, err error) {
	place, err := fetch.ParsePlace(a.Place)
	if err != nil {
		return acceptance, nil, refusal(err)
	}
	if a.Window == nil {
		acceptance, err = ofUnlisted(o.archive, place)
		return acceptance, []string{redact.Text(acceptance.Cause + ": " + acceptance.Message)}, refusal(err)
	}
	lines, err := o.coverageLines(c, place.String(), a.Window)
	if err != nil {
		return acceptance, nil, err
	}
	for i := range lines {
		if line := &lines[i]; line.Group == a.Group && len(line.Gaps) > 0 {
			acceptance = ofGap(place, a)
			shown := line.shown(time.Now(), true)
			detail = []string{shown.Name, shown.Text + "."}
			for _, gap := range shown.Gaps {
				detail = append(detail, fmt.Sprintf("It lacks %s to %s, %s.", gap.From.Format(pageTime), gap.To.Format(pageTime), gap.Length))
			}
			return acceptance, detail, nil
		}
	}
	return acceptance, nil, &page.RefusedError{Why: fmt.Sprintf("%s lacks nothing then that nobody has accepted.", place)}
}

// pageTime is how times are written in what is to be known before an action.
const pageTime = "2006-01-02 15:04 MST"

// ofGap is the acceptance of a time that a place lacks.
func ofGap(place fetch.Ref, a page.Action) archive.Acceptance {
	return archive.Acceptance{Reference: place.String(), Window: &ledger.Window{Group: a.Group, From: a.Window.From.Unix(), To: a.Window.To.Unix()}}
}

// ofPlaceNow is what an action accepts of a place, after it was agreed to.
func (o *observer) ofPlaceNow(a page.Action) (archive.Acceptance, error) {
	place, err := fetch.ParsePlace(a.Place)
	if err != nil || a.Window == nil {
		return ofUnlisted(o.archive, place)
	}
	return ofGap(place, a), nil
}

// refusal is an error that says why an action is not for an export.
func refusal(err error) error {
	if err == nil {
		return nil
	}
	return &page.RefusedError{Why: err.Error()}
}

// refAt is the reference of an export with all that is written down of it.
func (o *observer) refAt(key, text string, verb page.Verb) (fetch.Ref, error) {
	ref, ok := fetch.RefAt(key, text)
	if state, _, err := o.archive.State(key); err == nil {
		var options worker.Options
		if ref, options, ok = worker.RefOf(state); ok && options.Signed && verb == page.Retry {
			return ref, fmt.Errorf("retry %s: %w", ref, worker.ErrSignedURL)
		}
	}
	if !ok {
		return ref, fmt.Errorf("%s: another version of tallyman has written its state", text)
	}
	return ref, nil
}

// filterOf finds the exports of the group that an action is for.
func filterOf(c *catalog.Catalog, a page.Action) (f catalog.Filter, err error) {
	f = catalog.Filter{Name: a.Text, Unaccepted: true, Order: catalog.ByWhen, Desc: true}
	if a.Since != "" {
		if f.Since, err = flagvalue.ParseTime(a.Since); err != nil {
			return f, refusal(fmt.Errorf("since: %w", err))
		}
	}
	if a.Place != "" {
		f.Places = []string{a.Place}
	}
	switch a.Phase {
	case "failed":
		if f.Phases = []catalog.Phase{catalog.Failed}; a.Cause != "" {
			f.Causes = []string{a.Cause}
		}
	case "doubts":
		f.Phases, f.Doubts = []catalog.Phase{catalog.Landed}, true
	default:
		f.Phases = []catalog.Phase{catalog.Asked}
	}
	return byKey(c, f), nil
}

// planGroup is Plan for a group.
func (o *observer) planGroup(c *statusCommand, a page.Action) (plan page.Plan, err error) {
	f, err := filterOf(c.catalog, a)
	if err != nil {
		return plan, err
	}
	sum, err := c.catalog.Count(f)
	if err != nil {
		return plan, err
	}
	plan = page.Plan{Exports: sum.Exports, Command: commandOf(a)}
	if plan.Exports > maxActedOn {
		why := fmt.Sprintf("There are %s, more than the page does at once.", cli.Plural(plan.Exports, "export"))
		if plan.Command != "" {
			why += " By command line: " + plan.Command
		}
		return plan, &page.RefusedError{Why: why}
	}
	if a.Verb == page.Retry {
		if plan.Detail, err = vainRetries(c, f); err != nil {
			return plan, err
		}
	}
	all := f
	all.Unaccepted = false
	if both, err := c.catalog.Count(all); err != nil {
		return plan, err
	} else if n := both.Exports - sum.Exports; a.Phase == "failed" && n > 0 {
		plan.Detail = append(plan.Detail, fmt.Sprintf("%d more are accepted already, and stay as they are.", n))
	}
	if a.Text != "" || a.Since != "" {
		if plan.Set, err = setOf(c.catalog, f); err != nil {
			return plan, err
		}
	}
	var received int64
	if f.Limit = maxSample; a.Verb == page.Cancel && plan.Exports <= maxReceived {
		f.Limit = maxReceived
	}
	for e, err := range c.catalog.Exports(f) {
		if err != nil {
			return plan, err
		}
		if len(plan.Sample) < maxSample {
			plan.Sample = append(plan.Sample, e.Ref)
		}
		if a.Verb == page.Cancel {
			n, _ := o.archive.Received(e.Key) // 0 if it can't be read
			received += n
		}
	}
	if f.Limit == maxReceived && received > 0 {
		plan.Detail = append(plan.Detail, flagvalue.FormatSize(received)+" of them were received.")
	}
	return plan, nil
}

// setOf tells apart the exports that a filter lets pass, and what is wrong with them.
func setOf(c *catalog.Catalog, f catalog.Filter) (string, error) {
	sum := sha256.New()
	for e, err := range c.Exports(f) {
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%s %d %q\n", e.Key, e.When.UnixMilli(), e.Doubts)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// vainRetries tells how many exports of a group another attempt does not help.
func vainRetries(c *statusCommand, f catalog.Filter) (detail []string, err error) {
	chosen := f.Causes
	for _, cause := range retryIsVain {
		if len(chosen) > 0 && !slices.Contains(chosen, string(cause)) {
			continue
		}
		f.Causes = []string{string(cause)}
		sum, err := c.catalog.Count(f)
		if err != nil {
			return nil, err
		}
		if sum.Exports > 0 {
			detail = append(detail, fmt.Sprintf("%s failed by %s: another attempt ends the same way.", cli.Plural(sum.Exports, "export"), cause))
		}
	}
	return detail, nil
}

// commandOf is the command that does the same as an action, or "".
func commandOf(a page.Action) string {
	command := "tallyman " + string(a.Verb)
	switch {
	case a.Ref != "":
		command += " " + cli.ShellQuote(redact.URL(a.Ref))
	case a.IsOne():
		command += " " + cli.ShellQuote(redact.URL(a.Place))
		if a.Window != nil {
			command += redact.Text(groupFlags(a.Place, a.Group)) + " --from " + a.Window.From.Format(time.RFC3339) + " --to " + a.Window.To.Format(time.RFC3339)
		}
	case a.Cause != "" && a.Place+a.Text+a.Since == "":
		command += " --cause " + cli.ShellQuote(a.Cause)
	default:
		return ""
	}
	if a.Verb == page.Accept {
		command += " --reason TEXT"
	}
	return command
}

// act has an action done to one export or place, and says how that stands now.
func (o *observer) act(a page.Action, key, text string) (said string, err error) {
	err = recoverPanic(func() error {
		if a.Ref == "" && a.IsOne() {
			acceptance, err := o.ofPlaceNow(a)
			said = "accepted"
			return o.accept(a, acceptance, err)
		}
		ref, err := o.refAt(key, text, a.Verb)
		if err != nil {
			return err
		}
		switch a.Verb {
		case page.Retry:
			var submission worker.Submission
			submission, err = o.client(a.By).Retry(o.ctx, ref)
			said = string(submission.State)
		case page.Cancel:
			err, said = o.client(a.By).Cancel(o.ctx, ref), "cancelled"
		default:
			reader, _ := (&worker.Client{Archive: o.archive}).Status(o.ctx) // it fails by the queue alone
			acceptance, notAcceptable := ofExport(o.archive, reader, ref)
			err, said = o.accept(a, acceptance, notAcceptable), "accepted"
		}
		return usageError(ref, err)
	})
	return said, err
}

// accept writes down what a person accepts, unless that is an error.
func (o *observer) accept(a page.Action, acceptance archive.Acceptance, err error) error {
	if err != nil {
		return err
	}
	acceptance.By, acceptance.Reason = a.By, a.Reason
	return o.archive.Accept(acceptance)
}
