package dbs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"tallyman/fetch"
	"tallyman/fetch/oss"
)

// sunk are the objects that a task wrote to a bucket of its owner. What they
// hold, their names tell better than the task: some describe the tables.
func (p *Provider) sunk(ctx context.Context, ref fetch.Ref, t *task, export *fetch.Export) error {
	if p.Store == nil || p.Bucket == "" {
		return fmt.Errorf("export %s: the task wrote to a bucket that the service does not name: name it by --dbs-bucket BUCKET[@REGION]: %w",
			ref, errors.ErrUnsupported)
	}
	in := oss.Selection{
		Region: cmp.Or(p.Region, ref.Parts()[0]), Bucket: p.Bucket, Prefix: t.prefix(),
		Since: t.created(), Named: ref.Parts()[2],
	}
	if in.Since.IsZero() {
		export.Doubts = append(export.Doubts, "when the task was created is not known: older objects under its path would be taken for its own")
	}
	export.Objects, export.Snapshot = hinted(p.Store.Objects(ctx, in)), true
	return nil
}

// hinted are objects whose refusals say what to do about a bucket of which the
// reference says nothing.
func hinted(objects iter.Seq2[fetch.Object, error]) iter.Seq2[fetch.Object, error] {
	return func(yield func(fetch.Object, error) bool) {
		for object, err := range objects {
			if errors.Is(err, fetch.ErrRefused) {
				err = fmt.Errorf("%w; the bucket of a DBS task and its region are those of --dbs-bucket BUCKET[@REGION]", err)
			}
			if !yield(object, err) {
				return
			}
		}
	}
}

// prefix is that of all keys below the task's path, and not below one that
// only begins like it.
func (t *task) prefix() string {
	if path := strings.Trim(string(t.TargetPath), "/"); path != "" {
		return path + "/"
	}
	return ""
}
