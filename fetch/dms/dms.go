// Package dms asks Alibaba Cloud's Data Management about the results of data
// tracking.
//
// One call, QueryDataTrackResultDownloadStatus, says where a download stands
// and, in the end, gives a signed URL to its one file, a zip. Its page and its
// sample disagree about what a success looks like, so the field Success alone
// decides, and the answer is read leniently.
package dms

import (
	"context"
	"fmt"
	"net/http"

	"tallyman/fetch"
	"tallyman/fetch/internal/acs"
	"tallyman/fetch/internal/api"
)

// A Provider answers for the downloads of DMS. It must not be copied once it
// is in use.
type Provider struct {
	// Client makes the API calls, through its Transport alone. nil is
	// http.DefaultClient.
	Client *http.Client
	// Open makes a Source of the signed URL of a result, or refuses its host.
	Open func(rawURL string) (fetch.Source, error)
	// Keys sign the calls. nil is Alibaba's default chain.
	Keys func(context.Context) (acs.Keys, error)
	// Endpoint is where the calls go, like http://127.0.0.1:8080. "" is the
	// vendor's endpoint of the region.
	Endpoint string
	// Network is "internal" for the vendor's endpoints that only its own
	// machines reach.
	Network string
	// Signature is the version to sign with: "acs3" (ACS3-HMAC-SHA256) or
	// "v1" (HMAC-SHA1). "" is acs3.
	Signature string

	chain acs.Credentials
}

// StaticKeys are keys for a Provider that don't change. The token is that of
// STS, or "".
func StaticKeys(id, secret, token string) func(context.Context) (acs.Keys, error) {
	return acs.Static(acs.Keys{AccessKeyID: id, AccessKeySecret: secret, SecurityToken: token}).Keys
}

const action = "QueryDataTrackResultDownloadStatus"

// Export asks for the download that a dms reference names.
func (p *Provider) Export(ctx context.Context, ref fetch.Ref) (*fetch.Export, error) {
	query, err := parameters(ref)
	if err != nil {
		return nil, fmt.Errorf("export %s: %w", ref, err)
	}
	endpoint, err := api.Endpoint(p.Endpoint, "dms-enterprise"+networks[p.Network]+"."+ref.Parts()[0]+".aliyuncs.com")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", action, err)
	}
	rpc := acs.RPC{Client: p.Client, Keys: p.chain.Or(p.Keys), Endpoint: endpoint, Version: "2018-11-01", Signature: p.Signature}
	a, err := rpc.Call(ctx, action, query)
	if err != nil {
		return nil, err
	}
	d, err := readDownload(a)
	if err != nil {
		return nil, err
	}
	export := d.export(a)
	if export.State == fetch.Ready {
		export.Objects, err = p.objects(ref, d, a)
	}
	return export, err
}

// parameters are those of the call. Orders and tenants are numbers to the
// service, but any label in a reference.
func parameters(ref fetch.Ref) (map[string]string, error) {
	if ref.Scheme() != "dms" {
		return nil, fmt.Errorf("not a reference to a DMS download")
	}
	query := map[string]string{"OrderId": ref.Parts()[1], "DownloadKeyId": ref.Parts()[2]}
	if ref.Tenant() != "" {
		query["Tid"] = ref.Tenant()
	}
	return query, nil
}

// networks are the parts of an endpoint's name for Provider.Network.
var networks = map[string]string{"internal": "-vpc"}
