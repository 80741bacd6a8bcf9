package sls

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"regexp"
	"strings"

	"tallyman/fetch"
	"tallyman/fetch/oss"
)

// sunk are the objects that a job wrote to a bucket of its owner.
func (p *Provider) sunk(ctx context.Context, ref fetch.Ref, j *job) (iter.Seq2[fetch.Object, error], error) {
	in := oss.Selection{
		Region: ref.Parts()[0], Bucket: string(j.Configuration.Sink.Bucket), Prefix: string(j.Configuration.Sink.Prefix),
		Since: j.CreateTime.Seconds(), Named: ref.Parts()[2],
	}
	in.Hint = "fetch " + in.String() + "?region=REGION, all of it"
	if p.Store == nil {
		return nil, fmt.Errorf("export %s: no store for results in a bucket of one's own: %s: %w", ref, in, errors.ErrUnsupported)
	}
	objects := p.Store.Objects(ctx, in)
	if in.Since.IsZero() {
		objects = onlyNamed(objects, in)
	}
	return declared(objects, j), nil
}

// declared are objects of what the job says that they hold.
func declared(objects iter.Seq2[fetch.Object, error], j *job) iter.Seq2[fetch.Object, error] {
	return func(yield func(fetch.Object, error) bool) {
		for object, err := range objects {
			object.Content, object.Encoding = j.content(), j.coded()
			if !yield(object, err) {
				return
			}
		}
	}
}

// onlyNamed are those of the objects whose keys hold the name in question. It
// must be a word of its own there: download-1 is not in download-12.csv.
func onlyNamed(objects iter.Seq2[fetch.Object, error], in oss.Selection) iter.Seq2[fetch.Object, error] {
	word := regexp.MustCompile(`(^|[^\pL\p{Nd}])` + regexp.QuoteMeta(in.Named) + `($|[^\pL\p{Nd}])`)
	directory := in.Prefix[:strings.LastIndexByte(in.Prefix, '/')+1]
	return func(yield func(fetch.Object, error) bool) {
		none := true
		for object, err := range objects {
			if err == nil && !word.MatchString(directory+object.Name) {
				continue
			}
			none = false
			if !yield(object, err) {
				return
			}
		}
		if none {
			yield(fetch.Object{}, &fetch.CallError{Call: "ListObjectsV2 " + in.String(), Kind: fetch.ErrNotFound,
				Message: fmt.Sprintf("when the job was created is not known, and no key holds its name %q", in.Named)})
		}
	}
}
