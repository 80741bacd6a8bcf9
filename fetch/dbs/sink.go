package dbs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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
		Since: timeOf(t.GmtCreate), JobName: ref.Parts()[2],
		Hint: "name it by --dbs-bucket " + p.Bucket + "@REGION",
	}
	if in.Since.IsZero() {
		export.Doubts = append(export.Doubts, "when the task was created is not known: older objects under its path would be taken for its own")
	}
	export.Objects, export.Snapshot = p.Store.Objects(ctx, in), true
	return nil
}

// prefix is that of all keys below the task's path, and not below one that
// only begins like it.
func (t *task) prefix() string {
	if path := strings.Trim(string(t.TargetPath), "/"); path != "" {
		return path + "/"
	}
	return ""
}
