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

// algorithms are the versions of signatures in the library's words.
var algorithms = map[string]string{"": "ACS3-HMAC-SHA256", "acs3": "ACS3-HMAC-SHA256", "v1": "v2"}

// Call makes one call with all of its parameters in the query, once. Its
// answer has a status of success: anything else is an error. What the answer
// itself says of success is the product's own.
func (r *RPC) Call(ctx context.Context, action string, query map[string]string) (*api.Answer, error) {
	keys, err := r.Keys(ctx)
	if err != nil {
		return nil, err
	}
	if keys.AccessKeyID == "" || keys.AccessKeySecret == "" {
		return nil, &fetch.CallError{Call: action, Kind: fetch.ErrAuth, Message: "the access key has no ID or no secret"}
	}
	a, err := r.send(ctx, action, query, keys)
	if err != nil {
		return nil, err
	}
	a.RequestID = cmp.Or(api.OneLine(requestID(a)), a.RequestID)
	if a.Status/100 != 2 {
		return nil, Refusal(a)
	}
	return a, nil
}

func (r *RPC) send(ctx context.Context, action string, query map[string]string, keys Keys) (*api.Answer, error) {
	algorithm, ok := algorithms[r.Signature]
	if !ok {
		return nil, fmt.Errorf("%s: unknown signature version %q, want acs3 or v1", action, r.Signature)
	}
	wire := &exchange{rpc: r, call: action, secrets: keys.Secrets()}
	client, err := openapi.NewClient(&openapi.Config{
		AccessKeyId: &keys.AccessKeyID, AccessKeySecret: &keys.AccessKeySecret, SecurityToken: &keys.SecurityToken,
		Protocol: &r.Endpoint.Scheme, Endpoint: &r.Endpoint.Host,
		SignatureAlgorithm: &algorithm, HttpClient: wire,
	})
	if err == nil {
		_, err = client.CallApiWithCtx(ctx, params(action, r.Version), &openapi.OpenApiRequest{Query: openapiutil.Query(query)},
			// Proxies are the transport's. The library would put their password into the request.
			&dara.RuntimeOptions{NoProxy: &r.Endpoint.Host})
	}
	switch {
	case wire.err != nil:
		return nil, wire.err
	case wire.answer == nil:
		return nil, unsent(action, err)
	}
	return wire.answer, nil
}

func params(action, version string) *openapi.Params {
	return &openapi.Params{
		Action: &action, Version: &version, Style: dara.String("RPC"), Method: dara.String(http.MethodPost), Pathname: dara.String("/"),
		AuthType: dara.String("AK"), ReqBodyType: dara.String("formData"), BodyType: dara.String("none"),
	}
}

// unsent is the error of a call that the library could not make a request of.
// Its own text may quote the query.
func unsent(action string, err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	return fmt.Errorf("%s: make the request: %w", action, err)
}

// An exchange sends what the library signed, and keeps the answer from it:
// the library makes a syntax error of each refusal that is not JSON, status
// and all.
type exchange struct {
	rpc     *RPC
	call    string
	secrets []string

	answer *api.Answer
	err    error
}

// Call is the library's way to the network.
func (e *exchange) Call(req *http.Request, _ *http.Transport) (*http.Response, error) {
	e.answer, e.err = api.Send(e.call, e.rpc.Client, req, cmp.Or(e.rpc.MaxAnswer, api.MaxAnswer), e.secrets...)
	return &http.Response{StatusCode: http.StatusNoContent, Header: http.Header{}, Body: http.NoBody, Request: req}, e.err
}
