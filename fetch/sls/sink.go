package sls

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"tallyman/fetch"
	"tallyman/fetch/internal/objstore"
	"tallyman/fetch/oss"
)

// bucketObjects are the objects that a job wrote to a bucket of its owner. The
// service does not name them: they are found by the job's name and by when they
// were modified.
func (p *Provider) bucketObjects(ctx context.Context, ref fetch.Ref, j *job) (iter.Seq2[fetch.Object, error], error) {
	sink := j.Configuration.Sink
	in := oss.Selection{
		Region: ref.Parts()[0], Bucket: string(sink.Bucket), Prefix: string(sink.Prefix),
		Since: j.CreateTime.Seconds(), JobName: ref.Parts()[2],
	}
	in.Hint = "fetch " + in.String() + "?region=REGION, all of it"
	if p.Store == nil {
		return nil, fmt.Errorf("export %s: no store for results in a bucket of one's own: %s: %w", ref, in, errors.ErrUnsupported)
	}
	// Without a time only the name is left: then it must be in the key, or in the
	// directories before it.
	directory := in.Prefix[:strings.LastIndexByte(in.Prefix, '/')+1]
	belongs := func(o fetch.Object) bool {
		return !in.Since.IsZero() || objstore.HoldsWord(directory+o.Name, in.JobName)
	}
	return func(yield func(fetch.Object, error) bool) {
		found := false
		for object, err := range p.Store.Objects(ctx, in) {
			if err == nil && !belongs(object) {
				continue
			}
			found = true
			object.Content, object.Encoding = j.content(), j.coded()
			if !yield(object, err) {
				return
			}
		}
		if !found {
			yield(fetch.Object{}, &fetch.CallError{Call: "ListObjectsV2 " + in.String(), Kind: fetch.ErrNotFound,
				Message: fmt.Sprintf("when the job was created is not known, and no key holds its name %q", in.JobName)})
		}
	}, nil
}
