// Package sls asks Alibaba Cloud's Simple Log Service about its download jobs.
//
// One signed call, GetDownloadJob, says where a job stands and, in the end,
// gives a signed URL to its one file, or names the bucket that the job wrote
// to: the service does not say which objects, so they are found by when they
// were modified and by the job's name. Another, ListDownloadJobs, names the
// jobs of a project. Answers are read leniently, since the service, its page
// and its SDKs disagree about the types of their fields.
package sls

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"tallyman/fetch"
	"tallyman/fetch/internal/acs"
	"tallyman/fetch/oss"
)

// A Provider answers for the download jobs of SLS. It must not be copied once
// it is in use.
type Provider struct {
	// Client makes the API calls, through its Transport alone. nil is
	// http.DefaultClient.
	Client *http.Client
	// Open makes a Source of the signed URL of a job's file, or refuses its
	// host.
	Open func(rawURL string) (fetch.Source, error)
	// Store holds the buckets that jobs wrote to, each in its job's region. nil
	// is none: a job that wrote to a bucket is then an error that wraps
	// errors.ErrUnsupported.
	Store *oss.Store
	// Keys sign the calls. nil is Alibaba's default chain.
	Keys func(context.Context) (acs.Keys, error)
	// Endpoint is where the calls go, like http://127.0.0.1:8080, with the
	// project as a further label of the Host header. "" is the vendor's
	// endpoint of the region.
	Endpoint string
	// Network is "internal" for the vendor's endpoints that only its own
	// machines reach.
	Network string
	// Signature is the version to sign with: "v4", "v1" (HMAC-SHA256) or
	// "v1-sha1". "" is v4.
	Signature string

	chain acs.Credentials
}

// ProfileKeys are those of a profile of ~/.aliyun/config.json, or of Alibaba's
// default chain for "". Providers of one account share them.
func ProfileKeys(profile string) func(context.Context) (acs.Keys, error) {
	return acs.Profile(profile).Keys
}

// StaticKeys are keys for a Provider that don't change. The token is that of
// STS, or "".
func StaticKeys(id, secret, token string) func(context.Context) (acs.Keys, error) {
	return acs.Static(acs.Keys{AccessKeyID: id, AccessKeySecret: secret, SecurityToken: token}).Keys
}

// Export asks for the job that an sls reference names. The result of one that
// wrote to a bucket is a snapshot, listed as it is ranged over until ctx ends:
// the objects under the prefix that were modified since the job was created,
// or only those of them whose names hold the job's as a word, if some do. Where
// it is not known when the job was created, age counts for nothing, and only
// objects whose keys hold its name are meant. None is an ErrNotFound. What such
// a job promises of size and checksum is left out, since it may be of one
// object or of all.
func (p *Provider) Export(ctx context.Context, ref fetch.Ref) (*fetch.Export, error) {
	if ref.Scheme() != "sls" || ref.IsPlace() {
		return nil, fmt.Errorf("export %s: not a reference to an SLS job", ref)
	}
	a, err := p.call(ctx, "GetDownloadJob", ref, "/downloadjobs/"+url.PathEscape(ref.Parts()[2]))
	if err != nil {
		return nil, err
	}
	j, err := readJob(a)
	if err != nil {
		return nil, err
	}
	export := j.export(a)
	if export.State == fetch.Ready {
		export.Objects, err = p.objects(ctx, ref, j, a)
		export.Snapshot = !j.hasURL()
	}
	return export, err
}
