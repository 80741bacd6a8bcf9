// Package api makes one call of a vendor's HTTP API and reads what comes back:
// leniently, since services, their pages and their SDKs disagree about the
// types of fields, and without showing the secrets that are in it.
package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/redact"
)

const (
	callTime  = 60 * time.Second
	maxAnswer = 1 << 20
	maxLong   = 8 << 20
)

// An Answer is what a service said to one call.
type Answer struct {
	Call      string
	Status    int
	Header    http.Header
	Body      []byte
	RequestID string // the service's name for this answer, or ""

	most int // bytes of Body
}

// Send makes one call, once, and gives the answer whatever its status. It
// goes to the client's Transport itself (nil is http.DefaultClient): a client
// would follow redirects. The secrets are those that the call was signed
// with, which are hidden from then on.
func Send(call string, client *http.Client, req *http.Request, secrets ...string) (*Answer, error) {
	redact.Add(secrets...)
	return (&Answer{Call: call, most: maxAnswer}).of(client, req)
}

// SendLong is Send for an answer that may be a list.
func SendLong(call string, client *http.Client, req *http.Request, secrets ...string) (*Answer, error) {
	redact.Add(secrets...)
	return (&Answer{Call: call, most: maxLong}).of(client, req)
}

func (a *Answer) of(client *http.Client, req *http.Request) (*Answer, error) {
	timed, cancel := context.WithTimeout(req.Context(), callTime)
	defer cancel()
	if err := a.exchange(client, req.WithContext(timed)); err != nil {
		return nil, a.unanswered(req.Context(), err)
	}
	if len(a.Body) > a.most {
		return nil, a.Refusal("", fmt.Sprintf("the answer is longer than %d bytes", a.most), Kind(a.Status))
	}
	return a, nil
}

func (a *Answer) exchange(client *http.Client, req *http.Request) error {
	transport := cmp.Or(client, http.DefaultClient).Transport
	if transport == nil {
		transport = http.DefaultTransport
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	a.Status, a.Header = resp.StatusCode, resp.Header
	a.RequestID = a.Line(cmp.Or(a.Header.Get("x-log-requestid"), a.Header.Get("x-acs-request-id")))
	if a.Body, err = io.ReadAll(io.LimitReader(resp.Body, int64(a.most)+1)); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	return nil
}

func (a *Answer) unanswered(ctx context.Context, err error) error {
	if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return &fetch.CallError{Call: a.Call, Kind: fetch.ErrTemporary, Message: fmt.Sprintf("no answer within %v", callTime)}
	}
	err = fetch.TransportError(ctx, a.Call, err)
	if call, ok := errors.AsType[*fetch.CallError](err); ok {
		call.Message = a.Clean(call.Message)
	}
	return err
}

// Refusal is the error that an answer is, with the service's code and message
// if it gave any.
func (a *Answer) Refusal(code, message string, kind error) *fetch.CallError {
	return &fetch.CallError{
		Call: a.Call, Status: a.Status, Code: a.Line(code), Message: a.Line(message),
		RequestID: a.RequestID, RetryAfter: fetch.ParseRetryAfter(a.Header), Kind: kind,
	}
}

// Kind tells what a status of HTTP means for the caller where no code of the
// service's own does. One of success, which came with an answer that can't be
// read, may pass.
func Kind(status int) error {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fetch.ErrAuth
	case http.StatusNotFound:
		return fetch.ErrNotFound
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

// ClockHint goes behind the message of a service that finds the time of a
// call too far from its own.
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

// Endpoint reads an address that calls go to instead of the vendor's.
func Endpoint(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("endpoint %s: want http://HOST:PORT or https://HOST:PORT", redact.Text(address))
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}
