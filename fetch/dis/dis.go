// Package dis asks Huawei Cloud's Data Ingestion Service about the files that
// its dump tasks deliver to buckets of OBS.
//
// A dump task never ends: an export is one file that it delivered, a row of its
// log. Three calls lead there. The task's log, page by page, has the row, which
// says whether the delivery ended and how much it was, but not where it went;
// so the dump tasks of the row's stream are listed, and the one that has the
// reference's ID is asked for its bucket. Which key the file has there, no one
// tells: it is found by its name, first in the directories of the times that
// the delivery took, then under all of the task's prefix. Answers are read
// leniently, since the service, its page and its SDKs disagree about their
// form.
package dis

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"sync"

	"tallyman/fetch"
	"tallyman/fetch/redact"
)

// A Provider answers for the files of DIS dump tasks. It must not be copied
// once it is in use.
type Provider struct {
	// Client makes the API calls, through its Transport alone. nil is
	// http.DefaultClient.
	Client *http.Client
	// Objects lists the objects of a bucket under a prefix, by their names
	// below its last slash. None is an ErrNotFound of no HTTP status. nil is no
	// store: then every export is an error that wraps errors.ErrUnsupported.
	Objects func(ctx context.Context, region, bucket, prefix string) iter.Seq2[fetch.Object, error]
	// Keys prove who calls; each call asks for them. nil is EnvironmentKeys.
	Keys func(context.Context) (Keys, error)
	// Endpoint is where the calls go, like http://127.0.0.1:8080. "" is the
	// vendor's endpoint of the region.
	Endpoint string
	// Signature is the form to sign with where the keys have no token:
	// "derived" (a key of the day, region and service, as the service's own
	// SDKs do) or "plain" (as the gateway's do). "" is derived.
	Signature string
	// PageSize is how many rows of a log a call asks for; 0 is 100.
	PageSize int

	mu   sync.Mutex
	logs map[string]*taskLog // by "REGION/TASK_ID"
}

// Export asks for the file that a dis reference names, and finds it in its
// bucket. Rows of deliveries that have ended don't change, so one that was seen
// is not asked for again. A row that is not there is an ErrNotFound, and so is
// a file that was delivered and is not under the task's prefix any more. The
// service promises a size of the records: one that differs from the object's
// is a doubt.
func (p *Provider) Export(ctx context.Context, ref fetch.Ref) (*fetch.Export, error) {
	if ref.Scheme() != "dis" || ref.IsPlace() {
		return nil, fmt.Errorf("export %s: not a reference to a file of a DIS dump task", ref)
	}
	if p.Objects == nil {
		return nil, fmt.Errorf("export %s: no store for its bucket: %w", ref, errors.ErrUnsupported)
	}
	r, err := p.row(ctx, ref)
	if err != nil {
		return nil, err
	}
	export := r.export()
	if export.State != fetch.Ready {
		return export, nil
	}
	return export, p.deliver(ctx, ref, r, export)
}

// deliver finds what the row of a delivery that succeeded tells of.
func (p *Provider) deliver(ctx context.Context, ref fetch.Ref, r *row, export *fetch.Export) error {
	to, err := p.task(ctx, ref, r)
	if err != nil {
		return err
	}
	s := &search{Provider: p, region: ref.Parts()[0], task: to, row: r}
	found, err := s.find(ctx)
	if err != nil {
		return err
	}
	object := to.declare(r, found)
	export.Doubts = to.doubts(r, found)
	export.Objects = func(yield func(fetch.Object, error) bool) { yield(object, nil) }
	export.Answer = answered{r.answer.Scrubbed(), to.answer, redact.Text(to.bucket), redact.Text(found.key)}
	return nil
}

// answered is what a receipt tells of the file.
type answered struct {
	Row    any    `json:"transferTaskLog"`
	Task   any    `json:"transferTask,omitempty"`
	Bucket string `json:"bucket,omitempty"`
	Key    string `json:"key,omitempty"`
}
