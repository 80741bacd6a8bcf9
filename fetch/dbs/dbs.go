// Package dbs asks Alibaba Cloud's Database Backup (DBS) about its download
// tasks. A download task restores a backup set to files, which the service keeps
// or writes to a bucket of the task's owner.
//
// Two calls are made, both RPC calls of version 2021-01-01:
//
//   - DescribeDownloadTask lists the tasks of an instance, newest first, in pages.
//     No call asks for one task, so the pages are walked until the task is on one.
//     Its DownloadStatus is initializing or queueing (pending), running, finished
//     (ready), failed or expired. Any other status is unknown, which is never taken
//     for running.
//   - DescribeDownloadBackupSetStorageInfo gives a signed URL to the file of a task
//     that has finished. A task that wrote to a bucket tells the path there, but not
//     the bucket, which the Provider must know.
//
// The service promises neither size nor checksum: an object is proven by what the
// store says of it.
//
// Answers are read leniently, since the service, its documentation and its SDKs
// disagree about the names, the types and the form of their fields.
package dbs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"tallyman/fetch"
	"tallyman/fetch/hostguard"
	"tallyman/fetch/internal/acs"
	"tallyman/fetch/internal/api"
	"tallyman/fetch/oss"
	"tallyman/verify"
)

// ErrNoBucket says that a task wrote to a bucket, and the Provider has none. It
// wraps errors.ErrUnsupported.
var ErrNoBucket error = noBucketError{}

type noBucketError struct{}

func (noBucketError) Error() string {
	return "the task wrote to a bucket that the service does not name, and none is set"
}

func (noBucketError) Unwrap() error { return errors.ErrUnsupported }

// The scheme of the references: dbs://REGION/INSTANCE/TASK_ID.
var scheme = fetch.RegisterScheme(fetch.Scheme{Name: "dbs", Complete: fetch.ByPoints, Segments: []fetch.Segment{
	{Name: "REGION", Kind: fetch.Label}, {Name: "INSTANCE", Kind: fetch.Label}, {Name: "TASK_ID", Kind: fetch.Label},
}})

// A Provider answers for dbs references: the download tasks of DBS. Its methods
// may be called by many goroutines at once; it must not be copied after its
// first use.
type Provider struct {
	// Client makes the API calls; only its Transport is used. nil is
	// http.DefaultClient.
	Client *http.Client
	// Open makes a Source of the signed URL of a task's file, or refuses its host.
	Open func(rawURL string) (fetch.Source, error)
	// AllowHTTP reports whether a host, HOST or HOST:PORT, may be read over http.
	// The service gives http URLs; those of other hosts are opened over https,
	// which leaves their signatures valid. nil allows none.
	AllowHTTP func(hostport string) bool
	// Store holds the bucket that tasks wrote to, and Bucket is its name. With nil
	// or "", a task that wrote to a bucket is an ErrNoBucket.
	Store  *oss.Store
	Bucket string
	// Region is the bucket's region: "cn-hangzhou". "" is the region of the task.
	Region string
	// Keys returns the keys of a call, and is asked before each. nil is Alibaba's
	// default chain.
	Keys func(context.Context) (acs.Keys, error)
	// Endpoint is where the calls go, like http://127.0.0.1:8080. "" is the
	// vendor's endpoint of the region.
	Endpoint string
	// Network chooses between the vendor's public endpoints and those that only its own
	// machines reach, also those of files; nil is the public ones.
	Network hostguard.Network
	// Signature is the version to sign with: "acs3" (ACS3-HMAC-SHA256) or
	// "v1" (HMAC-SHA1). "" is acs3.
	Signature string

	chain acs.Credentials
}

const (
	tasksCall = "DescribeDownloadTask"
	urlCall   = "DescribeDownloadBackupSetStorageInfo"
)

// Export asks for the task that a dbs reference names: for page after page of
// its instance's tasks until it is on one. The first page is asked for once; a
// later one with retry, so that the pages before it need not be asked for again.
// The result of a task that wrote to a bucket is a snapshot, listed as it is
// ranged over until ctx ends: the objects under the task's path that were modified
// since the task was created, or only those of them whose names hold the task's ID
// as a word, if some do. No such object is an ErrNotFound.
func (p *Provider) Export(ctx context.Context, ref fetch.Ref) (*fetch.Export, error) {
	if ref.Scheme() != scheme || ref.IsPlace() {
		return nil, fmt.Errorf("export %s: not a reference to a DBS download task", ref)
	}
	t, err := p.find(ctx, ref)
	if err != nil {
		return nil, err
	}
	done, all := t.tables()
	export := &fetch.Export{
		State: t.state(), Status: api.OneLine(string(t.DownloadStatus)), Percent: -1,
		RequestID: t.answer.RequestID, Endpoint: t.answer.Host, Records: verify.Unknown, Answer: exportAnswer{Task: t.answer.Scrubbed()},
	}
	if all > 0 && done <= all {
		export.Percent = int(float64(done) / float64(all) * 100)
	}
	if export.State == fetch.Ready && done < all {
		export.Doubts = []string{fmt.Sprintf("the task finished with %d of %d tables", done, all)}
	}
	if export.State == fetch.Ready {
		err = p.addResult(ctx, ref, t, export)
	}
	return export, err
}

// find walks the pages until the task is on one.
func (p *Provider) find(ctx context.Context, ref fetch.Ref) (*task, error) {
	instance, id := ref.Parts()[1], ref.Parts()[2]
	missing := &fetch.CallError{Call: tasksCall, Message: "instance " + instance + " has no download task " + id, Kind: fetch.ErrNotFound}
	for page, err := range p.pages(ctx, ref, false) {
		if err != nil {
			return nil, err
		}
		for _, t := range page.tasks {
			if string(t.ID) != id {
				continue
			}
			if t.DownloadStatus == "" {
				return nil, t.answer.Refusal("", "the answer has no status of the task: "+t.answer.Excerpt(), fetch.ErrTemporary)
			}
			return t, nil
		}
		missing.RequestID = page.answer.RequestID
	}
	return nil, missing
}

// call makes one call, once, and decodes the Data of its answer as far as it
// can. Only the answer's field Success, which may be text, tells whether it is a
// success: a success may have the code and the message of an error.
func (p *Provider) call(ctx context.Context, name, region string, query map[string]string, data any) (*api.Answer, error) {
	public := cmp.Or(hosts[region], "dbs."+region) + ".aliyuncs.com"
	endpoint, err := api.Endpoint(p.Endpoint, api.VendorHost(ctx, p.Network, p.Endpoint, "dbs-api-vpc."+region+".aliyuncs.com", public))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	query["RegionCode"] = region
	rpc := acs.RPC{Client: p.Client, Keys: p.chain.Or(p.Keys), Endpoint: endpoint, Version: "2021-01-01", Signature: p.Signature, MaxAnswer: api.MaxList}
	a, err := rpc.Call(ctx, name, query)
	if err != nil {
		return nil, err
	}
	var said struct {
		Success api.LenientString
		Data    json.RawMessage
	}
	if err := api.Unmarshal(a.Body, &said); err != nil || !said.Success.True() {
		return nil, acs.Refusal(a)
	}
	if said.Data != nil {
		_ = api.Unmarshal(said.Data, data) // it is JSON, since the answer is
	}
	return a, nil
}

const hangzhou = "dbs-api.cn-hangzhou"

// hosts answer for a region whose host is not dbs.REGION, as in the vendor's SDK.
var hosts = map[string]string{
	"cn-hangzhou":           hangzhou,
	"cn-beijing":            hangzhou,
	"cn-qingdao":            hangzhou,
	"cn-shanghai":           hangzhou,
	"cn-shenzhen":           hangzhou,
	"cn-zhangjiakou":        hangzhou,
	"cn-hongkong":           hangzhou,
	"us-west-1":             hangzhou,
	"us-east-1":             hangzhou,
	"cn-hangzhou-finance":   hangzhou,
	"cn-shanghai-finance-1": hangzhou,
	"cn-shenzhen-finance-1": hangzhou,

	"cn-chengdu":     "dbs-api.cn-chengdu",
	"cn-huhehaote":   "dbs-api.cn-huhehaote",
	"ap-southeast-1": "dbs-api.ap-southeast-1",
	"ap-southeast-2": "dbs-api.ap-southeast-2",
	"ap-southeast-3": "dbs-api.ap-southeast-3",
	"ap-southeast-5": "dbs-api.ap-southeast-5",
	"ap-northeast-1": "dbs-api.ap-northeast-1",
	"ap-south-1":     "dbs-api.ap-south-1",
	"eu-central-1":   "dbs-api.eu-central-1",
	"eu-west-1":      "dbs-api.eu-west-1",
	"me-east-1":      "dbs-api.me-east-1",
}
