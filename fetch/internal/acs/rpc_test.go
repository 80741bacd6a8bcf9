package acs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/hostguard"
)

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

const stsToken = "CAIS/TOKENcanary+long/enough=="

// rpc returns an API whose calls the transport answers.
func rpc(f transport) *RPC {
	return &RPC{
		Client:   &http.Client{Transport: f},
		Keys:     Static(Keys{"LTAIid", secret, stsToken, ""}).Keys,
		Endpoint: &url.URL{Scheme: "https", Host: "dms-enterprise.cn-hangzhou.aliyuncs.com"},
		Version:  "2018-11-01",
	}
}

// answering returns an API whose calls all get that answer.
func answering(status int, body string, headers ...string) *RPC {
	return rpc(func(req *http.Request) (*http.Response, error) {
		resp := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: req}
		for i := 0; i < len(headers); i += 2 {
			resp.Header.Set(headers[i], headers[i+1])
		}
		return resp, nil
	})
}

// oddQuery has all that must be escaped.
var oddQuery = map[string]string{"OrderId": "9007199254740993", "A": "a b+c*d~e/f?g&h=i%2Bä<>", "Empty": ""}

func TestCallsAreSigned(t *testing.T) {
	for _, c := range []struct{ name, signature, token string }{
		{"by ACS3, as nothing is asked for", "", ""},
		{"by ACS3", "acs3", ""},
		{"by ACS3 with an STS token", "acs3", stsToken},
		{"by version 1", "v1", ""},
		{"by version 1 with an STS token", "v1", stsToken},
	} {
		t.Run(c.name, func(t *testing.T) {
			var nonces []string
			server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				nonces = append(nonces, checkCall(t, r, c.signature, c.token))
			}))
			defer server.Close()
			endpoint, _ := url.Parse(server.URL)
			r := &RPC{Client: server.Client(), Keys: Static(Keys{"LTAIid", secret, c.token, ""}).Keys, Endpoint: endpoint, Version: "2018-11-01", Signature: c.signature}
			for range 2 {
				if _, err := r.Call(t.Context(), "Query", oddQuery); err != nil {
					t.Fatal(err)
				}
			}
			if len(nonces) != 2 || nonces[0] == nonces[1] || nonces[0] == "" {
				t.Errorf("nonces %q", nonces)
			}
		})
	}
}

// checkCall checks a call as a service would, and returns its nonce.
func checkCall(t *testing.T, r *http.Request, signature, token string) string {
	query, said := r.URL.Query(), r.Header.Get
	if signature == "v1" {
		said = func(name string) string {
			return query.Get(map[string]string{
				"x-acs-action": "Action", "x-acs-version": "Version", "x-acs-date": "Timestamp",
				"x-acs-signature-nonce": "SignatureNonce", "x-acs-security-token": "SecurityToken",
			}[name])
		}
		if err := verifyV1(r.Method, query, "LTAIid", secret); err != nil || !strings.EqualFold(query.Get("Format"), "JSON") {
			t.Errorf("%v, format %s", err, query.Get("Format"))
		}
	} else if _, err := verifyACS3(r, "LTAIid", secret); err != nil || len(query) != len(oddQuery) {
		t.Errorf("%v, query %v", err, query)
	}
	for name, want := range oddQuery {
		if got := query.Get(name); got != want || !query.Has(name) {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	date, err := time.Parse("2006-01-02T15:04:05Z", said("x-acs-date"))
	if err != nil || time.Since(date).Abs() > time.Minute {
		t.Errorf("date %v, %v", date, err)
	}
	body, _ := io.ReadAll(r.Body)
	got := fmt.Sprint(r.Method, r.URL.Path, said("x-acs-action"), said("x-acs-version"), said("x-acs-security-token"), len(body))
	if want := fmt.Sprint("POST", "/", "Query", "2018-11-01", token, 0); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	return said("x-acs-signature-nonce")
}

func TestTheAnswerIsKeptAsItCame(t *testing.T) {
	const body = ` {"TotalCount":9007199254740993, "RequestId":"R1", "x":"\u003c"}` + "\n"
	a, err := answering(200, body, "x-acs-request-id", "R2").Call(t.Context(), "Query", nil)
	if err != nil || string(a.Body) != body || a.RequestID != "R1" || a.Status != 200 {
		t.Errorf("got %+v, %v", a, err)
	}
	if a, err = answering(204, "", "x-acs-request-id", "R2").Call(t.Context(), "Query", nil); err != nil || a.RequestID != "R2" {
		t.Errorf("got %+v, %v", a, err)
	}
}

func TestACallIsMadeOnce(t *testing.T) {
	for status, kind := range map[int]error{
		200: nil, 302: fetch.ErrThrottled, 400: fetch.ErrThrottled, 403: fetch.ErrThrottled, 429: fetch.ErrThrottled, 500: fetch.ErrThrottled, 503: fetch.ErrThrottled,
	} {
		calls := 0
		r := answering(status, `{"Code":"Throttling.User"}`, "Location", "http://h/?Signature=canary")
		answer := r.Client.Transport
		r.Client.Transport = transport(func(req *http.Request) (*http.Response, error) {
			calls++
			return answer.RoundTrip(req)
		})
		if _, err := r.Call(t.Context(), "Query", nil); calls != 1 || !errors.Is(err, kind) {
			t.Errorf("%d: got %v after %d calls, want %v after one", status, err, calls, kind)
		}
	}
}

func TestCallsWithoutAnAnswerNameTheirCause(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*RPC)
		kind   error
		want   string
	}{
		{"no keys", func(r *RPC) { r.Keys = func(context.Context) (Keys, error) { return Keys{}, fetch.ErrAuth } }, fetch.ErrAuth, "access denied"},
		{"keys without an ID", func(r *RPC) { r.Keys = Static(Keys{"", secret, "", ""}).Keys }, fetch.ErrAuth, "Query: access denied: the access key has no ID or no secret"},
		{"keys without a secret", func(r *RPC) { r.Keys = Static(Keys{"LTAIid", "", token, ""}).Keys }, fetch.ErrAuth, "Query: access denied: the access key has no ID or no secret"},
		{"a signature that we don't know", func(r *RPC) { r.Signature = "v9" }, nil, `Query: unknown signature version "v9", want acs3 or v1`},
		{"a server that isn't there", func(r *RPC) { r.Client, r.Endpoint = nil, &url.URL{Scheme: "http", Host: "127.0.0.1:1"} }, fetch.ErrTemporary,
			"Query: temporary failure at the source: dial tcp 127.0.0.1:1: connect: connection refused"},
		{"an answer that breaks off", func(r *RPC) {
			r.Client.Transport = transport(func(req *http.Request) (*http.Response, error) {
				body := io.MultiReader(strings.NewReader(`{"Success":`), &broken{})
				return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(body), Request: req}, nil
			})
		}, fetch.ErrTemporary, "Query: temporary failure at the source: read the answer: unexpected EOF"},
		{"a transport that quotes the token", func(r *RPC) {
			r.Client.Transport = transport(func(*http.Request) (*http.Response, error) {
				return nil, &url.Error{Op: "Post", URL: "https://h/?canary", Err: errors.New("bad header " + stsToken)}
			})
		}, fetch.ErrTemporary, "Query: temporary failure at the source: bad header ***"},
		{"a host that is refused", func(r *RPC) {
			r.Client.Transport = transport(func(*http.Request) (*http.Response, error) { return nil, fmt.Errorf("dial: %w", hostguard.ErrHost) })
		}, hostguard.ErrHost, "Query: dial: host refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := answering(200, "{}")
			c.change(r)
			_, err := r.Call(t.Context(), "Query", nil)
			if err == nil || err.Error() != c.want || c.kind != nil && !errors.Is(err, c.kind) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

type broken struct{}

func (*broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestNoAnswerInAMinuteIsTemporary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, err := rpc(func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		}).Call(t.Context(), "Query", nil)
		if !errors.Is(err, fetch.ErrTemporary) || errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Minute {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
	})
}

func TestACancelledCallFailsWithItsCause(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, err := rpc(func(req *http.Request) (*http.Response, error) {
		cancel()
		<-req.Context().Done()
		return nil, req.Context().Err()
	}).Call(ctx, "Query", nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestThePasswordOfAProxyStaysOutOfTheRequest(t *testing.T) {
	for _, proxy := range []string{"http://user:canary@proxy.example:3128", "http://user:can%zzary@proxy.example"} {
		for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
			t.Setenv(name, proxy)
		}
		_, err := rpc(func(req *http.Request) (*http.Response, error) {
			if value := req.Header.Get("Proxy-Authorization"); value != "" {
				t.Errorf("sent %s", value)
			}
			return answering(200, "{}").Client.Transport.RoundTrip(req)
		}).Call(t.Context(), "Query", nil)
		if err != nil {
			t.Error(err)
		}
	}
}

func TestManyGoroutinesMayCall(t *testing.T) {
	r := answering(200, `{"RequestId":"R1"}`)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if a, err := r.Call(t.Context(), "Query", oddQuery); err != nil || a.RequestID != "R1" {
				t.Errorf("got %v, %v", a, err)
			}
		})
	}
	wg.Wait()
}
