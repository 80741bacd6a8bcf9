// Package api makes one call of a vendor's HTTP API and reads the answer:
// leniently, since services, their documentation and their SDKs disagree about
// the types of fields, and without showing the secrets that an answer may
// quote.
package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/hostguard"
	"tallyman/fetch/redact"
)

const callTimeout = 60 * time.Second

// How many bytes an answer may have.
const (
	MaxAnswer = 1 << 20 // an answer about one job
	MaxList   = 8 << 20 // an answer that may be a list
)

// An Answer is what a service answered to one call.
type Answer struct {
	Call      string // its name in errors
	Host      string // that was asked
	Status    int
	Header    http.Header
	Body      []byte
	RequestID string // the service's ID of the call, or ""
}

// Send makes one call, once, and returns the answer whatever its status. It
// fails with a *fetch.CallError if there is no answer within a minute, or one
// of more than maxBody bytes, and with the cause of the request's context if
// that ends. A nil client is http.DefaultClient; only its Transport is used,
// since a client would follow redirects. The secrets that the call was signed
// with are masked in all output from then on.
func Send(call string, client *http.Client, req *http.Request, maxBody int, secrets ...string) (*Answer, error) {
	redact.Add(secrets...)
	ctx, cancel := context.WithTimeout(req.Context(), callTimeout)
	defer cancel()
	a := &Answer{Call: call, Host: req.URL.Host}
	resp, err := Transport(client).RoundTrip(req.WithContext(ctx))
	if err == nil {
		defer resp.Body.Close()
		a.Status, a.Header = resp.StatusCode, resp.Header
		a.RequestID = OneLine(cmp.Or(a.Header.Get("x-log-requestid"), a.Header.Get("x-acs-request-id")))
		if a.Body, err = io.ReadAll(io.LimitReader(resp.Body, int64(maxBody)+1)); err != nil {
			err = fmt.Errorf("read the answer: %w", err)
		}
	}
	switch {
	case err != nil && req.Context().Err() == nil && errors.Is(err, context.DeadlineExceeded):
		return nil, &fetch.CallError{Call: call, Kind: fetch.ErrUnreachable, Message: fmt.Sprintf("no answer within %v", callTimeout)}
	case err != nil:
		return nil, fetch.TransportError(req.Context(), call, err)
	case len(a.Body) > maxBody:
		return nil, a.Refusal("", fmt.Sprintf("the answer is longer than %d bytes", maxBody), KindOf(a.Status))
	}
	return a, nil
}

// Transport returns the client's own transport, or the default one if the
// client or its transport is nil. Unlike a client it follows no redirects,
// which would take keys and tokens to another host.
func Transport(client *http.Client) http.RoundTripper {
	if transport := cmp.Or(client, http.DefaultClient).Transport; transport != nil {
		return transport
	}
	return http.DefaultTransport
}

// Refusal makes an error of an answer. Code and message are the service's own,
// or "".
func (a *Answer) Refusal(code, message string, kind error) *fetch.CallError {
	return &fetch.CallError{
		Call: a.Call, Status: a.Status, Code: OneLine(code), Message: OneLine(message),
		RequestID: a.RequestID, RetryAfter: fetch.ParseRetryAfter(a.Header), Kind: kind,
	}
}

// KindOf returns the kind of error that an HTTP status stands for, if the service
// gave no known code of its own. A status of success, whose answer can't be read, is
// an ErrTemporary.
func KindOf(status int) error {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fetch.ErrAuth
	case http.StatusNotFound:
		return fetch.ErrNotFound
	case http.StatusProxyAuthRequired:
		return fetch.ErrProxy
	case http.StatusRequestTimeout:
		return fetch.ErrTemporary
	case http.StatusTooManyRequests:
		return fetch.ErrThrottled
	}
	if status >= 300 && status < 500 {
		return fetch.ErrRefused
	}
	return fetch.ErrTemporary
}

// ClockHint is appended to the message of a service that refuses a call for its
// time. It says how far this machine's clock is from the service's Date.
func (a *Answer) ClockHint() string {
	date, err := http.ParseTime(a.Header.Get("Date"))
	if err != nil {
		return "; check this machine's clock"
	}
	direction, off := "ahead of", time.Since(date)
	if off < 0 {
		direction, off = "behind", -off
	}
	return fmt.Sprintf("; check this machine's clock: it is %v %s the service's", off.Round(time.Second), direction)
}

// Endpoint returns where calls go: to the address, which is a scheme and a host,
// or, if that is "", to the vendor's host over https.
func Endpoint(address, vendorHost string) (*url.URL, error) {
	if address == "" {
		return &url.URL{Scheme: "https", Host: vendorHost}, nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("endpoint %s: want http://HOST:PORT or https://HOST:PORT", redact.Text(address))
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

// VendorHost returns the host of a vendor's endpoint that a network has: the internal one
// or the public one. It is the public one where address, as of Endpoint, is called instead.
func VendorHost(ctx context.Context, n hostguard.Network, address, internal, public string) string {
	if address == "" && n.IsInternal(ctx, internal) {
		return internal
	}
	return public
}

// FileName returns the last segment of the path of a file's URL, or otherwise
// if the path has none. It is not ok if the address is no http or https URL.
func FileName(address, otherwise string) (name string, ok bool) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return "", false
	}
	switch name := path.Base(u.Path); name {
	case ".", "..", "/":
		return otherwise, true
	default:
		return name, true
	}
}

// NoFile returns the ErrNotFound of an answer whose file has an address that FileName
// does not take. The message is for an answer that gives none.
func (a *Answer) NoFile(address, message string) error {
	if address != "" {
		shown, _, _ := strings.Cut(address, "?")
		message = fmt.Sprintf("the address of the file is not one of https: %q", OneLine(redact.URL(shown)))
	}
	return &fetch.CallError{Call: a.Call, Message: message, RequestID: a.RequestID, Kind: fetch.ErrNotFound}
}

// OneFile returns the one object of an export whose file has a signed URL. open makes
// a Source of that URL, or refuses its host.
func OneFile(ref fetch.Ref, open func(rawURL string) (fetch.Source, error), rawURL string, object fetch.Object) (iter.Seq2[fetch.Object, error], error) {
	source, err := open(rawURL)
	if err != nil {
		return nil, fmt.Errorf("open the file of %s: %w", ref, err)
	}
	object.Source = source
	return func(yield func(fetch.Object, error) bool) { yield(object, nil) }, nil
}
