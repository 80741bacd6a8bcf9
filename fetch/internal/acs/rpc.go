package acs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	openapi "github.com/alibabacloud-go/darabonba-openapi/v2/client"
	openapiutil "github.com/alibabacloud-go/darabonba-openapi/v2/utils"
	"github.com/alibabacloud-go/tea/dara"

	"tallyman/fetch"
	"tallyman/fetch/internal/api"
)

// An RPC calls one version of one product's API.
type RPC struct {
	Client   *http.Client // makes the calls, through its Transport alone; nil is http.DefaultClient
	Keys     func(context.Context) (Keys, error)
	Endpoint *url.URL // scheme and host
	Version  string   // "2018-11-01"
	// Signature is the version to sign with: "acs3" (ACS3-HMAC-SHA256) or
	// "v1" (HMAC-SHA1 in the query). "" is acs3.
	Signature string
	MaxAnswer int // bytes; 0 is api.MaxAnswer
}

// algorithms are the values of RPC.Signature as the library calls them.
var algorithms = map[string]string{"": "ACS3-HMAC-SHA256", "acs3": "ACS3-HMAC-SHA256", "v1": "v2"}

// Call makes one call, once, with all of its parameters in the query. What it
// returns has a status of success; whether the answer itself says so, too, is for
// the product to tell.
func (r *RPC) Call(ctx context.Context, action string, query map[string]string) (*api.Answer, error) {
	keys, err := r.Keys(ctx)
	if err != nil {
		return nil, err
	}
	if keys.AccessKeyID == "" || keys.AccessKeySecret == "" {
		return nil, &fetch.CallError{Call: action, Kind: fetch.ErrAuth, Message: "the access key has no ID or no secret"}
	}
	algorithm, ok := algorithms[r.Signature]
	if !ok {
		return nil, fmt.Errorf("%s: unknown signature version %q, want acs3 or v1", action, r.Signature)
	}
	wire := &sender{rpc: r, call: action, secrets: keys.Secrets()}
	client, err := openapi.NewClient(&openapi.Config{
		AccessKeyId: &keys.AccessKeyID, AccessKeySecret: &keys.AccessKeySecret, SecurityToken: &keys.SecurityToken,
		Protocol: &r.Endpoint.Scheme, Endpoint: &r.Endpoint.Host,
		SignatureAlgorithm: &algorithm, HttpClient: wire,
	})
	if err == nil {
		params := &openapi.Params{
			Action: &action, Version: &r.Version, Style: dara.String("RPC"), Method: dara.String(http.MethodPost), Pathname: dara.String("/"),
			AuthType: dara.String("AK"), ReqBodyType: dara.String("formData"), BodyType: dara.String("none"),
		}
		_, err = client.CallApiWithCtx(ctx, params, &openapi.OpenApiRequest{Query: openapiutil.Query(query)},
			// Proxies are the transport's. The library would put their password into the request.
			&dara.RuntimeOptions{NoProxy: &r.Endpoint.Host})
	}
	switch {
	case wire.err != nil:
		return nil, wire.err
	case wire.answer == nil: // the library made no request
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err // its own text may quote the query
		}
		return nil, fmt.Errorf("%s: make the request: %w", action, err)
	}
	a := wire.answer
	a.RequestID = cmp.Or(api.OneLine(string(readErrorFields(a).RequestID)), a.RequestID)
	if a.Status/100 != 2 {
		return nil, Refusal(a)
	}
	return a, nil
}

// A sender sends what the library signed, and keeps the answer from the library,
// which would make a syntax error of every refusal that is not JSON and lose its
// status.
type sender struct {
	rpc     *RPC
	call    string
	secrets []string

	answer *api.Answer
	err    error
}

// Call implements the library's interface of an HTTP client.
func (s *sender) Call(req *http.Request, _ *http.Transport) (*http.Response, error) {
	s.answer, s.err = api.Send(s.call, s.rpc.Client, req, cmp.Or(s.rpc.MaxAnswer, api.MaxAnswer), s.secrets...)
	return &http.Response{StatusCode: http.StatusNoContent, Header: http.Header{}, Body: http.NoBody, Request: req}, s.err
}
