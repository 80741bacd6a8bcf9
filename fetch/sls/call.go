package sls

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/internal/acs"
	"tallyman/fetch/internal/api"
)

// call makes one signed GET. Its answer is a success: anything else is an
// error.
func (p *Provider) call(ctx context.Context, name string, ref fetch.Ref, path string) (*api.Answer, error) {
	keys, err := p.chain.Or(p.Keys)(ctx)
	if err != nil {
		return nil, err
	}
	req, err := p.request(ctx, ref, path, keys)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	a, err := api.Send(name, p.Client, req, api.MaxList, keys.Secrets()...)
	if err != nil {
		return nil, err
	}
	return a, check(a)
}

func (p *Provider) request(ctx context.Context, ref fetch.Ref, path string, keys acs.Keys) (*http.Request, error) {
	sign, ok := signers[p.Signature]
	if !ok {
		return nil, fmt.Errorf("unknown signature version %q, want v4, v1 or v1-sha1", p.Signature)
	}
	region, project := ref.Parts()[0], ref.Parts()[1]
	network := networks[p.Network]
	if privateRegions[region] {
		network = networks["internal"]
	}
	base, err := api.Endpoint(p.Endpoint, project+"."+region+network+".log.aliyuncs.com")
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

// networks are the parts of an endpoint's name for Provider.Network.
var networks = map[string]string{"internal": "-intranet"}

// privateRegions have no public endpoint.
var privateRegions = map[string]bool{"cn-heyuan-acdr-1": true}
