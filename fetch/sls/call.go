package sls

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/internal/api"
)

// privateRegions have no public endpoint.
var privateRegions = map[string]bool{"cn-heyuan-acdr-1": true}

// call makes one signed GET, once. What it returns is a success: it has no
// errorCode, whatever its status.
func (p *Provider) call(ctx context.Context, name string, ref fetch.Ref, path string) (*api.Answer, error) {
	return p.send(ctx, name, ref, http.MethodGet, path, nil)
}

// send makes one signed call, once, as call does.
func (p *Provider) send(ctx context.Context, name string, ref fetch.Ref, method, path string, body []byte) (*api.Answer, error) {
	keys, err := p.chain.Or(p.Keys)(ctx)
	if err != nil {
		return nil, err
	}
	region, project := ref.Parts()[0], ref.Parts()[1]
	host := region + "-intranet.log.aliyuncs.com"
	if !privateRegions[region] {
		host = api.VendorHost(ctx, p.Network, p.Endpoint, host, region+".log.aliyuncs.com")
	}
	base, err := api.Endpoint(p.Endpoint, project+"."+host)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	req, err := http.NewRequestWithContext(ctx, method, base.String()+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if p.Endpoint != "" {
		req.Host = project + "." + base.Host
	}
	if err := sign(p.Signature, req, body, time.Now(), keys, region); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	a, err := api.Send(name, p.Client, req, api.MaxList, keys.Secrets()...)
	if err != nil {
		return nil, err
	}
	var said struct {
		Code    api.LenientString `json:"errorCode"`
		Message api.LenientString `json:"errorMessage"`
	}
	err = api.Unmarshal(a.Body, &said) // leaves it empty where the body is, or is a list
	if a.Status/100 == 2 && said.Code == "" {
		return a, nil
	}
	if err != nil || said.Code+said.Message == "" {
		return nil, refusal(a, "", a.Excerpt())
	}
	return nil, refusal(a, string(said.Code), string(said.Message))
}

// kinds classifies the service's errorCode, whatever HTTP status came with it:
// throttles come with 403.
var kinds = map[string]error{
	"SignatureNotMatch":    fetch.ErrAuth,
	"Unauthorized":         fetch.ErrAuth,
	"InvalidAccessKeyId":   fetch.ErrAuth,
	"RequestTimeTooSkewed": fetch.ErrAuth,
	"RequestTimeExpired":   fetch.ErrAuth,
	"InvalidRequestTime":   fetch.ErrAuth,

	"ReadQuotaExceed":               fetch.ErrThrottled,
	"WriteQuotaExceed":              fetch.ErrThrottled,
	"MetaOperationQpsLimitExceeded": fetch.ErrThrottled,

	"ProjectNotExist":  fetch.ErrNotFound,
	"ProjectNotExists": fetch.ErrNotFound,
	"LogStoreNotExist": fetch.ErrNotFound,
	"JobNotExist":      fetch.ErrNotFound,

	"InternalServerError": fetch.ErrTemporary,
	"RequestTimeout":      fetch.ErrTemporary,
	"ServerBusy":          fetch.ErrTemporary,

	"ProjectForbidden": fetch.ErrRefused,
}

// clockCodes refuse a call because its time is too far from the service's.
var clockCodes = map[string]bool{"RequestTimeTooSkewed": true, "RequestTimeExpired": true, "InvalidRequestTime": true}

func refusal(a *api.Answer, code, message string) error {
	kind, ok := kinds[code]
	if !ok {
		kind = api.KindOf(a.Status)
	}
	if clockCodes[code] {
		message += a.ClockHint()
	}
	return a.Refusal(code, message, kind)
}
