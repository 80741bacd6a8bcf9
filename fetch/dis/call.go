package dis

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"tallyman/fetch/internal/api"
)

// A call is one of the API, by its name in errors.
type call struct {
	name    string
	region  string
	project string // "" is that of the keys
	path    []string
	body    any // of a POST; nil is a GET
}

// ask makes one call. Its answer is a success: anything else is an error.
func (p *Provider) ask(ctx context.Context, c call) (*api.Answer, error) {
	keys, err := p.keys(ctx)
	if err != nil {
		return nil, err
	}
	req, err := p.request(ctx, c, keys)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	a, err := api.Send(c.name, p.Client, req, api.MaxList, keys.Secrets()...)
	if err != nil {
		return nil, err
	}
	return a, check(a)
}

func (p *Provider) keys(ctx context.Context) (Keys, error) {
	if p.Keys == nil {
		return EnvironmentKeys(ctx)
	}
	return p.Keys(ctx)
}

func (p *Provider) request(ctx context.Context, c call, keys Keys) (*http.Request, error) {
	sign, ok := signers[p.Signature]
	if !ok {
		return nil, fmt.Errorf("unknown signature form %q, want derived or plain", p.Signature)
	}
	base, err := api.Endpoint(p.Endpoint, "dis."+c.region+".myhuaweicloud.com")
	if err != nil {
		return nil, err
	}
	method, body, err := c.content()
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, base.String()+c.address(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	keys.ProjectID = cmp.Or(c.project, keys.ProjectID)
	if keys.Token != "" {
		req.Header.Set("X-Auth-Token", keys.Token)
	} else {
		sign.prove(req, body, time.Now(), keys, c.region)
	}
	return req, nil
}

func (c call) content() (method string, body []byte, err error) {
	if c.body == nil {
		return http.MethodGet, nil, nil
	}
	body, err = json.Marshal(c.body)
	return http.MethodPost, body, err
}

func (c call) address() (path string) {
	for _, element := range c.path {
		path += "/" + escape(element)
	}
	return path
}

func (p *Provider) pageSize() int { return cmp.Or(p.PageSize, 100) }
