// Package dms asks Alibaba Cloud's Data Management (DMS) about the results of data
// tracking, which finds the changes in a database's log and yields them as a zip.
//
// One call is made, the RPC call QueryDataTrackResultDownloadStatus of version
// 2018-11-01. It says where a download stands: INIT (pending), LISTING or
// DOWNLOADING (running), DOWNLOAD_SUCCESS (ready) or DOWNLOAD_FAIL (failed). Any
// other status is unknown, which is never taken for running. A download that
// succeeded has a signed URL, which expires, to its one file.
//
// The service promises neither size nor checksum: the file is proven by what the
// store says of it, and its records are counted against TotalCount.
//
// Answers are read leniently: the service's documentation and its sample disagree
// about what a success looks like, so the field Success alone decides.
package dms

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"tallyman/fetch"
	"tallyman/fetch/hostguard"
	"tallyman/fetch/internal/acs"
	"tallyman/fetch/internal/api"
	"tallyman/verify"
)

// The scheme of the references: dms://REGION/ORDER_ID/KEY_ID[?tid=N].
var scheme = fetch.RegisterScheme(fetch.Scheme{
	Name: "dms",
	Segments: []fetch.Segment{
		{Name: "REGION", Kind: fetch.Label}, {Name: "ORDER_ID", Kind: fetch.Number}, {Name: "KEY_ID", Kind: fetch.Label},
	},
	Options:  []fetch.Option{{Name: "tid", Kind: fetch.Number, Identifies: true}},
	NoPlaces: "dms has no places: a key exists only once asked for",
})

// A Provider answers for dms references: the downloads of DMS. Its methods may
// be called by many goroutines at once; it must not be copied after its first
// use.
type Provider struct {
	// Client makes the API calls; only its Transport is used. nil is
	// http.DefaultClient.
	Client *http.Client
	// Open makes a Source of the signed URL of a result, or refuses its host.
	Open func(rawURL string) (fetch.Source, error)
	// Keys returns the keys of a call, and is asked before each. nil is Alibaba's
	// default chain.
	Keys func(context.Context) (acs.Keys, error)
	// Endpoint is where the calls go, like http://127.0.0.1:8080. "" is the
	// vendor's endpoint of the region.
	Endpoint string
	// Network chooses between the vendor's public endpoints and those that only its own
	// machines reach; nil is the public ones.
	Network hostguard.Network
	// Signature is the version to sign with: "acs3" (ACS3-HMAC-SHA256) or
	// "v1" (HMAC-SHA1). "" is acs3.
	Signature string

	chain acs.Credentials
}

// StaticKeys returns keys that don't change. The token is one of STS, or "".
func StaticKeys(id, secret, token string) func(context.Context) (acs.Keys, error) {
	return acs.Static(acs.Keys{AccessKeyID: id, AccessKeySecret: secret, SecurityToken: token}).Keys
}

const action = "QueryDataTrackResultDownloadStatus"

// Export asks for the download that a dms reference names. One that has succeeded
// has one file. If it has no URL, the error is an ErrNotFound.
func (p *Provider) Export(ctx context.Context, ref fetch.Ref) (*fetch.Export, error) {
	if ref.Scheme() != scheme {
		return nil, fmt.Errorf("export %s: not a reference to a DMS download", ref)
	}
	query := map[string]string{"OrderId": ref.Parts()[1], "DownloadKeyId": ref.Parts()[2]}
	if ref.Option("tid") != "" {
		query["Tid"] = ref.Option("tid")
	}
	region := ref.Parts()[0]
	host := api.VendorHost(ctx, p.Network, p.Endpoint, "dms-enterprise-vpc."+region+".aliyuncs.com", "dms-enterprise."+region+".aliyuncs.com")
	endpoint, err := api.Endpoint(p.Endpoint, host)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", action, err)
	}
	rpc := acs.RPC{Client: p.Client, Keys: p.chain.Or(p.Keys), Endpoint: endpoint, Version: "2018-11-01", Signature: p.Signature}
	a, err := rpc.Call(ctx, action, query)
	if err != nil {
		return nil, err
	}
	// Only the field Success tells whether the answer is a success: one may have
	// the ErrorCode UnknownError.
	d := new(download)
	if err := api.Unmarshal(a.Body, d); err != nil || !d.Success.True() {
		return nil, acs.Refusal(a)
	}
	if d.StatusResult.DownloadStatus == "" {
		return nil, a.Refusal("", "the answer is not a download status: "+a.Excerpt(), fetch.ErrTemporary)
	}
	export := d.export(a)
	if export.State != fetch.Ready {
		return export, nil
	}
	address := string(d.StatusResult.DownloadURL)
	name, ok := api.FileName(address, ref.Parts()[2])
	if !ok {
		return nil, a.NoFile(address, "the download succeeded but has no URL")
	}
	export.Objects, err = api.OneFile(ref, p.Open, address, fetch.Object{Name: name, Want: verify.NoPromise()})
	return export, err
}

// A download is what we read of an answer.
type download struct {
	Success      api.LenientString
	StatusResult struct {
		DownloadStatus api.LenientString
		DownloadURL    api.LenientString `json:"DownloadUrl"` // signed
		StatusDesc     api.LenientString
		TotalCount     api.LenientString // records
	}
}

// states are the words of DownloadStatus. An unknown word is no state.
var states = map[string]fetch.State{
	"INIT":             fetch.Pending,
	"LISTING":          fetch.Running,
	"DOWNLOADING":      fetch.Running,
	"DOWNLOAD_SUCCESS": fetch.Ready,
	"DOWNLOAD_FAIL":    fetch.Failed,
}

// export returns what the download says of itself, without its file.
func (d *download) export(a *api.Answer) *fetch.Export {
	status := string(d.StatusResult.DownloadStatus)
	export := &fetch.Export{
		State:     states[strings.ToUpper(status)],
		Status:    api.OneLine(status),
		Percent:   -1,
		RequestID: a.RequestID,
		Endpoint:  a.Host,
		Records:   d.StatusResult.TotalCount.Count(),
		Answer:    a.Scrubbed("DownloadUrl"),
	}
	if export.State == fetch.Failed {
		export.Message = api.OneLine(string(d.StatusResult.StatusDesc))
	}
	return export
}
