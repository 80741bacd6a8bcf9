package sls

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/hostguard"
)

func TestCallsGoToTheEndpointOfTheRegion(t *testing.T) {
	for _, c := range []struct {
		name         string
		network      hostguard.Network
		region, want string
	}{
		{"in public", nil, "cn-hangzhou", "https://ali-test-project.cn-hangzhou.log.aliyuncs.com/downloadjobs/download-123"},
		{"inside", hostguard.InternalNetwork, "cn-hangzhou", "https://ali-test-project.cn-hangzhou-intranet.log.aliyuncs.com/downloadjobs/download-123"},
		{"inside, where there is no other", nil, "cn-heyuan-acdr-1", "https://ali-test-project.cn-heyuan-acdr-1-intranet.log.aliyuncs.com/downloadjobs/download-123"},
		{"inside, where there is no other, by its name", hostguard.InternalNetwork, "cn-heyuan-acdr-1", "https://ali-test-project.cn-heyuan-acdr-1-intranet.log.aliyuncs.com/downloadjobs/download-123"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := provider(func(req *http.Request) (*http.Response, error) {
				if req.URL.String() != c.want || req.Host != req.URL.Host || req.Method != "GET" {
					t.Errorf("got %s %s to %s, want %s", req.Method, req.URL, req.Host, c.want)
				}
				return nil, io.ErrUnexpectedEOF
			})
			p.Network = c.network
			if _, err := p.Export(t.Context(), parseRef(t, strings.Replace(jobRef, "cn-hangzhou", c.region, 1))); !errors.Is(err, fetch.ErrTemporary) {
				t.Error(err)
			}
		})
	}
}

// serve returns a provider whose endpoint is a server with that handler.
func serve(t *testing.T, handler http.HandlerFunc) *Provider {
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return &Provider{Client: server.Client(), Open: open, Endpoint: server.URL, Keys: StaticKeys("LTAIid", "SECRETcanary", "CAISTOKENcanary==")}
}

func TestACallToAnEndpointHasTheProjectInItsHost(t *testing.T) {
	for _, version := range []string{"", "v1", "v1-sha1"} {
		t.Run("signed with "+version, func(t *testing.T) {
			p := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if got := r.URL.RequestURI(); got != "/downloadjobs/a%20job%25" {
					t.Errorf("got %s", got)
				}
				w.Header().Set("x-log-requestid", r.Host)
				checkSignature(t, r, version)
				io.WriteString(w, succeeded())
			})
			p.Signature = version
			export, err := p.Export(t.Context(), parseRef(t, "sls://cn-hangzhou/ali-test-project/a job%"))
			if err != nil {
				t.Fatal(err)
			}
			if want := "ali-test-project." + strings.TrimPrefix(p.Endpoint, "http://"); export.RequestID != want {
				t.Errorf("got host %s, want %s", export.RequestID, want)
			}
		})
	}
}

// checkSignature signs the received request once more, and compares.
func checkSignature(t *testing.T, r *http.Request, version string) {
	t.Helper()
	got := r.Header.Get("Authorization")
	date, err := http.ParseTime(r.Header.Get("Date"))
	if err != nil {
		date, err = time.Parse("20060102T150405Z", r.Header.Get("x-log-date"))
	}
	if err != nil {
		t.Fatal(err)
	}
	keys, _ := StaticKeys("LTAIid", "SECRETcanary", "CAISTOKENcanary==")(t.Context())
	if err := sign(version, r, nil, date, keys, "cn-hangzhou"); err != nil {
		t.Fatal(err)
	}
	if want := r.Header.Get("Authorization"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	var calls int
	p := serve(t, func(w http.ResponseWriter, r *http.Request) {
		calls++
		w.Header().Set("Location", "http://%zz/?Signature=canary")
		w.WriteHeader(http.StatusFound)
	})
	_, err := p.Export(t.Context(), parseRef(t, jobRef))
	if !errors.Is(err, fetch.ErrRefused) || calls != 1 || strings.Contains(err.Error(), "canary") {
		t.Errorf("got %v after %d calls", err, calls)
	}
}

func TestNoAnswerInAMinuteIsTemporary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		p := provider(func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		})
		_, err := p.Export(t.Context(), parseRef(t, jobRef))
		if !errors.Is(err, fetch.ErrTemporary) || errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Minute {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
	})
}

func TestACancelledCallFailsWithItsCause(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := provider(func(req *http.Request) (*http.Response, error) {
		cancel()
		<-req.Context().Done()
		return nil, req.Context().Err()
	})
	if _, err := p.Export(ctx, parseRef(t, jobRef)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}
