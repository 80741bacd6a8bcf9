package dis

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/internal/api"
)

// A call is one call of the API.
type call struct {
	name    string // in errors
	region  string
	project string // "" is the project of the keys
	path    []string
	body    any // of a POST; nil makes it a GET
}

// send makes one call, once. What it returns is a success: rows prove one,
// whatever code came with them.
func (p *Provider) send(ctx context.Context, c call) (*api.Answer, error) {
	find := p.Keys
	if find == nil {
		find = ProfileKeys("")
	}
	keys, err := find(ctx)
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
	var s errorFields
	err = api.Unmarshal(a.Body, &s)
	a.RequestID = cmp.Or(a.RequestID, api.OneLine(cmp.Or(a.Header.Get("X-Request-Id"), string(s.RequestID))))
	if _, rows, _ := readRows(a); a.Status/100 == 2 && (successes[s.Code] && s.GatewayCode == "" || len(rows) > 0) {
		return a, nil
	}
	code := cmp.Or(s.GatewayCode, s.Code)
	if s.GatewayCode == "" && successes[s.Code] {
		code = ""
	}
	message := cmp.Or(s.GatewayMessage, s.Message)
	if err != nil || code+message == "" {
		message = api.LenientString(a.Excerpt())
	}
	return nil, refusal(a, string(code), string(message))
}

// request makes the request of a call, with a token or a signature.
func (p *Provider) request(ctx context.Context, c call, keys Keys) (*http.Request, error) {
	sign, ok := signers[p.Signature]
	if !ok {
		return nil, fmt.Errorf("unknown signature form %q, want derived or plain", p.Signature)
	}
	endpoint, err := api.Endpoint(p.Endpoint, "dis."+c.region+".myhuaweicloud.com")
	if err != nil {
		return nil, err
	}
	address := endpoint.String()
	for _, element := range c.path {
		address += "/" + api.Escape(element)
	}
	method, body := http.MethodGet, []byte(nil)
	if c.body != nil {
		method = http.MethodPost
		if body, err = json.Marshal(c.body); err != nil {
			return nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	keys.ProjectID = cmp.Or(c.project, keys.ProjectID)
	if keys.Token != "" {
		req.Header.Set("X-Auth-Token", keys.Token)
	} else {
		sign.sign(req, body, time.Now(), keys, c.region)
	}
	return req, nil
}

// kinds classifies the codes of the service (DIS) and of the gateway before it
// (APIGW), whatever HTTP status came with them. A code has the kind of the longest
// entry that it begins with.
var kinds = map[string]error{
	"DIS.410": fetch.ErrAuth, // the token or the signature is missing or wrong
	"DIS.411": fetch.ErrAuth,

	"DIS.4116": fetch.ErrAuth, // no permission
	"DIS.4117": fetch.ErrRefused,

	"DIS.4301": fetch.ErrNotFound, // the stream
	"DIS.4354": fetch.ErrNotFound, // the dump task

	"DIS.4303":    fetch.ErrThrottled, // more than a share of traffic
	"DIS.4305":    fetch.ErrThrottled, // too many calls
	blacklistCode: fetch.ErrThrottled,

	"DIS.5": fetch.ErrTemporary,

	"APIGW.03":   fetch.ErrAuth,
	"APIGW.0308": fetch.ErrThrottled,
	"APIGW.0101": fetch.ErrRefused, // there is no such API, whatever it is asked for
}

const (
	// blacklistCode comes after too many failures, which lock an address out for
	// blacklistTime. Each further call would prolong that.
	blacklistCode = "DIS.4309"
	blacklistTime = 30 * time.Minute
)

// clockCodes refuse a call because of its time.
var clockCodes = map[string]bool{"DIS.4105": true, "APIGW.0303": true}

// statusAuth is the service's own status for what HTTP calls 401.
const statusAuth = 441

// errorFields are the fields in which the service, and the gateway before it,
// tell of errors.
type errorFields struct {
	Code           api.LenientString `json:"errorCode"`
	Message        api.LenientString `json:"message"`
	GatewayCode    api.LenientString `json:"error_code"`
	GatewayMessage api.LenientString `json:"error_msg"`
	RequestID      api.LenientString `json:"request_id"`
}

// successes are the values of errorCode that mean no error.
var successes = map[api.LenientString]bool{"": true, "-1": true, "0": true, "null": true}

func refusal(a *api.Answer, code, message string) error {
	var kind error
	for end := len(code); end > 0 && kind == nil; end-- {
		kind = kinds[code[:end]]
	}
	switch {
	case kind != nil:
	case a.Status == statusAuth:
		kind = fetch.ErrAuth
	case code != "" && a.Status/100 == 2: // the service answered, and says that it failed
		kind = fetch.ErrRefused
	default:
		kind = api.KindOf(a.Status)
	}
	if clockCodes[code] {
		message += a.ClockHint()
	}
	refused := a.Refusal(code, message, kind)
	if code == blacklistCode {
		refused.RetryAfter = max(refused.RetryAfter, blacklistTime)
	}
	return refused
}
