package acs

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

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
	values := url.Values{}
	for name, value := range query {
		values.Set(name, value)
	}
	req := (&http.Request{
		Method: http.MethodPost, URL: &url.URL{Scheme: r.Endpoint.Scheme, Host: r.Endpoint.Host, Path: "/"}, Host: r.Endpoint.Host,
		Header: http.Header{"Accept": {"application/json"}}, Body: http.NoBody,
	}).WithContext(ctx)
	date := time.Now().UTC().Format(time.RFC3339)
	switch r.Signature {
	case "", "acs3":
		signACS3(req, values, keys, action, r.Version, date, rand.Text())
	case "v1":
		signV1(req, values, keys, action, r.Version, date, rand.Text())
	default:
		return nil, fmt.Errorf("%s: unknown signature version %q, want acs3 or v1", action, r.Signature)
	}
	a, err := api.Send(action, r.Client, req, cmp.Or(r.MaxAnswer, api.MaxAnswer), keys.Secrets()...)
	if err != nil {
		return nil, err
	}
	a.RequestID = cmp.Or(api.OneLine(string(readErrorFields(a).RequestID)), a.RequestID)
	if a.Status/100 != 2 {
		return nil, Refusal(a)
	}
	return a, nil
}

// signACS3 adds the parameters to a request without a body, and the headers that
// prove who sends it and when.
func signACS3(req *http.Request, query url.Values, keys Keys, action, version, date, nonce string) {
	body := fmt.Sprintf("%x", sha256.Sum256(nil))
	signed := map[string]string{
		"host": req.Host, "x-acs-action": action, "x-acs-version": version, "x-acs-date": date,
		"x-acs-signature-nonce": nonce, "x-acs-content-sha256": body,
	}
	if keys.SecurityToken != "" {
		signed["x-acs-accesskey-id"], signed["x-acs-security-token"] = keys.AccessKeyID, keys.SecurityToken
	}
	req.URL.RawQuery = canonicalQuery(query)
	names, lines := api.CanonicalHeaders(signed)
	list := strings.Join(names, ";")
	canonical := strings.Join([]string{req.Method, "/", req.URL.RawQuery, lines, list, body}, "\n")
	mac := api.HMAC(sha256.New, []byte(keys.AccessKeySecret), fmt.Sprintf("ACS3-HMAC-SHA256\n%x", sha256.Sum256([]byte(canonical))))
	delete(signed, "host") // it is of each request
	for name, value := range signed {
		req.Header.Set(name, value)
	}
	req.Header.Set("Authorization", fmt.Sprintf("ACS3-HMAC-SHA256 Credential=%s,SignedHeaders=%s,Signature=%x", keys.AccessKeyID, list, mac))
}

// signV1 adds the parameters to a request without a body, and those that prove who
// sends it and when.
func signV1(req *http.Request, query url.Values, keys Keys, action, version, date, nonce string) {
	for name, value := range map[string]string{
		"Action": action, "Version": version, "Timestamp": date, "SignatureNonce": nonce, "Format": "json",
		"AccessKeyId": keys.AccessKeyID, "SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0",
	} {
		query.Set(name, value)
	}
	if keys.SecurityToken != "" {
		query.Set("SecurityToken", keys.SecurityToken)
	}
	text := req.Method + "&%2F&" + api.Escape(canonicalQuery(query))
	query.Set("Signature", base64.StdEncoding.EncodeToString(api.HMAC(sha1.New, []byte(keys.AccessKeySecret+"&"), text)))
	req.URL.RawQuery = canonicalQuery(query)
}

// canonicalQuery is a query as it is signed, in the order of the names. Both
// signatures want a space as %20.
func canonicalQuery(query url.Values) string { return strings.ReplaceAll(query.Encode(), "+", "%20") }
