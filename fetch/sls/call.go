package sls

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/internal/acs"
	"tallyman/fetch/internal/api"
)

// call makes one signed GET. Its answer is a success: anything else is an
// error.
func (p *Provider) call(ctx context.Context, name string, ref fetch.Ref, path string) (*api.Answer, error) {
	keys, err := p.keys(ctx)
	if err != nil {
		return nil, err
	}
	req, err := p.request(ctx, ref, path, keys)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	a, err := api.SendLong(name, p.Client, req, keys.Secrets()...)
	if err != nil {
		return nil, err
	}
	return a, check(a)
}

func (p *Provider) keys(ctx context.Context) (acs.Keys, error) {
	if p.Keys == nil {
		return p.chain.Keys(ctx)
	}
	return p.Keys(ctx)
}

func (p *Provider) request(ctx context.Context, ref fetch.Ref, path string, keys acs.Keys) (*http.Request, error) {
	sign, ok := signers[p.Signature]
	if !ok {
		return nil, fmt.Errorf("unknown signature version %q, want v4, v1 or v1-sha1", p.Signature)
	}
	region, project := ref.Parts()[0], ref.Parts()[1]
	base, err := p.endpoint(region, project)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base.String()+path, nil)
	if err != nil {
		return nil, err
	}
	if p.Endpoint != "" {
		req.Host = project + "." + base.Host
	}
	sign(req, nil, time.Now(), keys, region)
	return req, nil
}

var networks = map[string]string{"internal": "-intranet"}

// inside are the regions that have no endpoint in public.
var inside = map[string]bool{"cn-heyuan-acdr-1": true}

// endpoint is where TCP goes to.
func (p *Provider) endpoint(region, project string) (*url.URL, error) {
	network := networks[p.Network]
	if inside[region] {
		network = networks["internal"]
	}
	if p.Endpoint == "" {
		return &url.URL{Scheme: "https", Host: project + "." + region + network + ".log.aliyuncs.com"}, nil
	}
	return api.Endpoint(p.Endpoint)
}
