// Package dis asks Huawei Cloud's Data Ingestion Service (DIS) about the files
// that its dump tasks deliver to buckets of OBS. A dump task never ends, so an
// export is one file that it delivered: a row of its log.
//
// Three calls are made:
//
//   - ShowTransferTaskLog gives the log, page by page, newest first. A row says how
//     much was delivered to which file. Without an endTime the delivery is running;
//     with one it is ready if its state is empty or 0, and failed otherwise. A row
//     does not say in which bucket the file is.
//   - ListTransferTasks names the dump tasks of the row's stream, and
//     ShowTransferTask tells the bucket of the one that the reference names.
//
// No call tells which key the file has in the bucket. It is found by its name:
// first in the directories of the times that the delivery took, then under all of
// the task's prefix.
//
// A file is proven by what the bucket says of it. Its records are counted against
// transferRecordsNum, and transferBytes that can't be its size is a doubt.
//
// Answers are read leniently, since the service, its documentation and its SDKs
// disagree about their form.
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
	"tallyman/verify"
)

// The scheme of the references: dis://REGION/TASK_ID/TRANSFER_FILE_NAME.
var scheme = fetch.RegisterScheme(fetch.Scheme{Name: "dis", Complete: fetch.ByListing, Segments: []fetch.Segment{
	{Name: "REGION", Kind: fetch.Label}, {Name: "TASK_ID", Kind: fetch.Label}, {Name: "TRANSFER_FILE_NAME"},
}})

// A Provider answers for dis references: the files of DIS dump tasks. Its
// methods may be called by many goroutines at once; it must not be copied after
// its first use.
type Provider struct {
	// Client makes the API calls; only its Transport is used. nil is
	// http.DefaultClient.
	Client *http.Client
	// Objects lists the objects of a bucket under a prefix, by their names below
	// its last slash. If there are none, it yields a *fetch.CallError of kind
	// ErrNotFound without an HTTP status. With nil every export is an error that
	// wraps errors.ErrUnsupported.
	Objects func(ctx context.Context, region, bucket, prefix string) iter.Seq2[fetch.Object, error]
	// Keys returns the keys of a call, and is asked before each. nil is
	// ProfileKeys("").
	Keys func(context.Context) (Keys, error)
	// Endpoint is where the calls go, like http://127.0.0.1:8080. "" is the
	// vendor's endpoint of the region.
	Endpoint string
	// Signature is the form to sign with if the keys have no token: "derived"
	// (with a key of the day, region and service, as the service's own SDKs do) or
	// "plain" (as the gateway's SDKs do). "" is derived.
	Signature string
	// PageSize is how many rows of a log a call asks for; 0 is 100.
	PageSize int

	mu     sync.Mutex
	caches map[string]*taskCache // by "REGION/TASK_ID"
}

// Export asks for the file that a dis reference names, and finds it in its
// bucket. The rows of deliveries that have ended don't change, so one that was
// seen is not asked for again. A row that is not in the log is an ErrNotFound, and
// so is a file that was delivered and is not under the task's prefix any more.
func (p *Provider) Export(ctx context.Context, ref fetch.Ref) (*fetch.Export, error) {
	if ref.Scheme() != scheme || ref.IsPlace() {
		return nil, fmt.Errorf("export %s: not a reference to a file of a DIS dump task", ref)
	}
	if p.Objects == nil {
		return nil, fmt.Errorf("export %s: no store for its bucket: %w", ref, errors.ErrUnsupported)
	}
	r, err := p.findRow(ctx, ref)
	if err != nil {
		return nil, err
	}
	export := &fetch.Export{
		State:     r.state(),
		Status:    r.status(),
		Percent:   -1,
		RequestID: r.answer.RequestID,
		Endpoint:  r.answer.Host,
		Records:   r.Records.Count(),
		Answer:    exportAnswer{Row: r.answer.Scrubbed()},
	}
	if export.State == fetch.Ready {
		err = p.addObject(ctx, ref, r, export)
	}
	return export, err
}

// addObject finds the object of a delivery that succeeded, and adds it to the
// export.
func (p *Provider) addObject(ctx context.Context, ref fetch.Ref, r *row, export *fetch.Export) error {
	t, err := p.findTask(ctx, ref, r)
	if err != nil {
		return err
	}
	found, err := (&search{Provider: p, region: ref.Parts()[0], task: t, row: r}).find(ctx)
	if err != nil {
		return err
	}
	object := found.object
	object.Content = t.content
	// If the listing has no size, transferBytes promises it where that can be the
	// object's.
	if size := r.Bytes.Count(); size > 0 && t.onlyText && !found.extended && object.Want.Size == verify.Unknown {
		object.Want.Size = size
	}
	export.Doubts = t.doubts(r, found)
	export.Objects = func(yield func(fetch.Object, error) bool) { yield(object, nil) }
	export.Answer = exportAnswer{r.answer.Scrubbed(), t.answer, redact.Text(t.bucket), redact.Text(found.key)}
	return nil
}

// An exportAnswer is what a receipt keeps of the service's answers.
type exportAnswer struct {
	Row    any    `json:"transferTaskLog"`
	Task   any    `json:"transferTask,omitempty"`
	Bucket string `json:"bucket,omitempty"`
	Key    string `json:"key,omitempty"`
}
