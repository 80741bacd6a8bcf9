// Package dbs asks Alibaba Cloud's Database Backup about its download tasks.
//
// No call asks for one task: DescribeDownloadTask lists those of an instance,
// newest first, and its pages are walked until the task is on one. Another,
// DescribeDownloadBackupSetStorageInfo, gives a signed URL to the file of a
// task that has finished. A task that wrote to a bucket of its owner tells
// under which path, but not in which bucket: that the Provider must know.
// Answers are read leniently, since the service, its page and its SDKs disagree
// about the names, the types and the form of their fields.
package dbs

import (
	"context"
	"fmt"
	"net/http"

	"tallyman/fetch"
	"tallyman/fetch/internal/acs"
	"tallyman/fetch/internal/api"
	"tallyman/fetch/oss"
)

// A Provider answers for the download tasks of DBS. It must not be copied once
// it is in use.
type Provider struct {
	// Client makes the API calls, through its Transport alone. nil is
	// http.DefaultClient.
	Client *http.Client
	// Open makes a Source of the signed URL of a task's file, or refuses its
	// host.
	Open func(rawURL string) (fetch.Source, error)
	// Plain reports whether a host, HOST or HOST:PORT, may be read over http.
	// The service gives URLs of http; all others are opened as https, which
	// their signatures don't cover. nil is none.
	Plain func(hostport string) bool
	// Store holds the bucket that tasks wrote to, and Bucket is its name. nil or
	// "" is none: a task that wrote to a bucket is then an error that wraps
	// errors.ErrUnsupported.
	Store  *oss.Store
	Bucket string
	// Region is the bucket's: "cn-hangzhou". "" is that of the task.
	Region string
	// Keys sign the calls. nil is Alibaba's default chain.
	Keys func(context.Context) (acs.Keys, error)
	// Endpoint is where the calls go, like http://127.0.0.1:8080. "" is the
	// vendor's endpoint of the region.
	Endpoint string
	// Network is "internal" for the vendor's endpoints that only its own
	// machines reach, files' too.
	Network string
	// Signature is the version to sign with: "acs3" (ACS3-HMAC-SHA256) or
	// "v1" (HMAC-SHA1). "" is acs3.
	Signature string

	chain acs.Credentials
}

const (
	tasksCall = "DescribeDownloadTask"
	urlCall   = "DescribeDownloadBackupSetStorageInfo"
)

// Export asks for the task that a dbs reference names, page by page of its
// instance's. The first page is asked for once; a later one is asked for again
// where that may help, so that not all of them have to be. The result of a task
// that wrote to a bucket is a snapshot, listed as it is ranged over until ctx
// ends: the objects under the task's path that were modified since the task was
// created, or only those of them whose names hold the task's as a word, if some
// do. None is an ErrNotFound.
func (p *Provider) Export(ctx context.Context, ref fetch.Ref) (*fetch.Export, error) {
	if ref.Scheme() != "dbs" || ref.IsPlace() {
		return nil, fmt.Errorf("export %s: not a reference to a DBS download task", ref)
	}
	t, err := p.find(ctx, ref)
	if err != nil {
		return nil, err
	}
	export := t.export()
	if export.State == fetch.Ready {
		err = p.fill(ctx, ref, t, export)
	}
	return export, err
}

// find walks the pages until the task is on one.
func (p *Provider) find(ctx context.Context, ref fetch.Ref) (*task, error) {
	instance, id := ref.Parts()[1], ref.Parts()[2]
	missing := &fetch.CallError{Call: tasksCall, Message: "instance " + instance + " has no download task " + id, Kind: fetch.ErrNotFound}
	for page, err := range p.pages(ctx, ref, p.hastily) {
		if err != nil {
			return nil, err
		}
		for _, t := range page.tasks {
			if string(t.ID) == id {
				return t, t.check()
			}
		}
		missing.RequestID = page.answer.RequestID
	}
	return nil, missing
}

// call makes one call, once. Its answer has Data, which is decoded as far as it
// can be: anything else is an error.
func (p *Provider) call(ctx context.Context, name, region string, query map[string]string, data any) (*api.Answer, error) {
	host := hosts[region]
	switch {
	case p.Network == "internal":
		host = "dbs-api-vpc." + region
	case host == "":
		host = "dbs." + region
	}
	endpoint, err := api.Endpoint(p.Endpoint, host+".aliyuncs.com")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	query["RegionCode"] = region
	rpc := acs.RPC{Client: p.Client, Keys: p.chain.Or(p.Keys), Endpoint: endpoint, Version: "2021-01-01", Signature: p.Signature, MaxAnswer: api.MaxList}
	a, err := rpc.Call(ctx, name, query)
	if err != nil {
		return nil, err
	}
	return a, read(a, data)
}
