// Package sls asks Alibaba Cloud's Simple Log Service (SLS) about its download
// jobs. A download job runs a query over the logs of a project and writes the
// result to one file that the service keeps, or to a bucket of the job's owner.
//
// These calls are made, all of them signed:
//
//   - GetDownloadJob says where a job stands: STARTING (pending), RUNNING,
//     SUCCEEDED (ready) or ERROR (failed). Any other status is unknown, which is
//     never taken for running. A job that succeeded has a filePath, which is a
//     signed URL that expires, or the bucket and the prefix that it wrote to. The
//     service does not say which objects it wrote: they are found by the job's
//     createTime and by its name.
//   - ListDownloadJobs names the jobs of a project.
//   - CreateDownloadJob and DeleteDownloadJob make jobs and remove them.
//   - GetHistograms counts what a query finds in a log store. GetLogStore and GetIndex say
//     how far back it can.
//
// The service promises a file's fileSize and its checkSum, which is an ETag; what the
// file's store says of it counts as well. Of objects in a bucket it promises neither:
// they are proven by what the bucket says of them. The records are counted against
// logCount.
//
// Answers are read leniently, since the service, its documentation and its SDKs
// disagree about the types of their fields.
package sls

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"golang.org/x/time/rate"

	"tallyman/fetch"
	"tallyman/fetch/hostguard"
	"tallyman/fetch/internal/acs"
	"tallyman/fetch/internal/api"
	"tallyman/fetch/internal/objstore"
	"tallyman/fetch/oss"
	"tallyman/verify"
)

// The scheme of the references: sls://REGION/PROJECT/JOB.
var scheme = fetch.RegisterScheme(fetch.Scheme{Name: "sls", Complete: fetch.ByWindows, Window: answeredWindow, Segments: []fetch.Segment{
	{Name: "REGION", Kind: fetch.Label}, {Name: "PROJECT", Kind: fetch.Label}, {Name: "JOB"},
}})

// A Provider answers for sls references: the download jobs of SLS. Its methods
// may be called by many goroutines at once; it must not be copied after its
// first use.
type Provider struct {
	// Client makes the API calls; only its Transport is used. nil is
	// http.DefaultClient.
	Client *http.Client
	// Open makes a Source of the signed URL of a job's file, or refuses its host.
	Open func(rawURL string) (fetch.Source, error)
	// Store holds the buckets that jobs wrote to, each in its job's region. With
	// nil, a job that wrote to a bucket is an error that wraps errors.ErrUnsupported.
	Store *oss.Store
	// Keys returns the keys of a call, and is asked before each. nil is Alibaba's
	// default chain.
	Keys func(context.Context) (acs.Keys, error)
	// Endpoint is where the calls go, like http://127.0.0.1:8080. The Host header
	// then has the project as its first label. "" is the vendor's endpoint of the
	// region.
	Endpoint string
	// Network chooses between the vendor's public endpoints and those that only its own
	// machines reach; nil is the public ones.
	Network hostguard.Network
	// Signature is the version to sign with: "v4", "v1" (HMAC-SHA256) or
	// "v1-sha1". "" is v4.
	Signature string
	// CountLimit is how often a histogram may be asked for; nil is no limit.
	CountLimit *rate.Limiter

	chain     acs.Credentials
	olderPath atomic.Bool // of histograms
}

// ProfileKeys returns the keys of a profile of ~/.aliyun/config.json or, for "",
// of Alibaba's default chain. Providers of one account may share them.
func ProfileKeys(profile string) func(context.Context) (acs.Keys, error) {
	return (&acs.Credentials{Profile: profile}).Keys
}

// StaticKeys returns keys that don't change. The token is one of STS, or "".
func StaticKeys(id, secret, token string) func(context.Context) (acs.Keys, error) {
	return acs.Static(acs.Keys{AccessKeyID: id, AccessKeySecret: secret, SecurityToken: token}).Keys
}

// Export asks for the job that an sls reference names. Once the job has
// succeeded, its result is one file if it has a filePath. Otherwise it is a
// snapshot of the bucket that the job wrote to, listed as it is ranged over until
// ctx ends: the objects under the prefix that were modified since the job was
// created, or only those of them whose names hold the job's as a word, if some
// do. If the job has no createTime, they are the objects whose keys hold its
// name. No such object is an ErrNotFound. In a bucket, fileSize and checkSum
// promise nothing, since they may be of one object or of all.
func (p *Provider) Export(ctx context.Context, ref fetch.Ref) (*fetch.Export, error) {
	if ref.Scheme() != scheme || ref.IsPlace() {
		return nil, fmt.Errorf("export %s: not a reference to an SLS job", ref)
	}
	a, err := p.call(ctx, jobCall, ref, jobPath(ref))
	if err != nil {
		return nil, err
	}
	j := new(job)
	if err := api.Unmarshal(a.Body, j); err != nil || j.Status == "" {
		return nil, refusal(a, "", "the answer is not a download job: "+a.Excerpt())
	}
	export := j.export(a)
	if export.State != fetch.Ready {
		return export, nil
	}
	export.Window = j.window(ref)
	name, hasURL := api.FileName(string(j.ExecutionDetails.FilePath), ref.Parts()[2])
	switch {
	case hasURL: // even if there is a bucket
		want := verify.NoPromise()
		want.ETag = string(j.ExecutionDetails.CheckSum)
		if size := j.ExecutionDetails.FileSize.Count(); size > 0 { // with 0 the service doesn't know
			want.Size = size
		}
		object := j.declare(fetch.Object{Name: name, Want: want})
		export.Objects, err = api.OneFile(ref, p.Open, string(j.ExecutionDetails.FilePath), object)
	case j.Configuration.Sink.Bucket != "":
		export.Snapshot = true
		export.Objects, err = p.bucketObjects(ctx, ref, j)
	default:
		err = a.NoFile(string(j.ExecutionDetails.FilePath), "the job succeeded but names no file")
	}
	return export, err
}

// bucketObjects returns the objects that a job wrote to a bucket of its owner.
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
	// Without a time only the name is left: it must be in the key, or in the
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
			if !yield(j.declare(object), err) {
				return
			}
		}
		if !found {
			yield(fetch.Object{}, &fetch.CallError{Call: "ListObjectsV2 " + in.String(), Kind: fetch.ErrNotFound,
				Message: fmt.Sprintf("when the job was created is not known, and no key holds its name %q", in.JobName)})
		}
	}, nil
}

const jobCall = "GetDownloadJob"

func jobPath(ref fetch.Ref) string { return "/downloadjobs/" + url.PathEscape(ref.Parts()[2]) }
