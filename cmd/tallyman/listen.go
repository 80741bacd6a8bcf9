package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/certs"
	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/metrics"
	"tallyman/cmd/tallyman/internal/page"
	"tallyman/fetch/redact"
	"tallyman/verify/archive"
	"tallyman/worker"
)

// defaultListen is where health asks, and what is advised.
const defaultListen = "127.0.0.1:8410"

// A webServer serves the page, metrics and health of a process. A nil webServer serves
// nothing.
type webServer struct {
	metrics   *metrics.Metrics
	readiness *readiness
	observer  *observer
	servers   []*http.Server
	stopQueue func()
}

// isLoopback reports whether only this machine reaches an address.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// checkListen returns a UsageError if what is to be served where is not safe, and the token
// of the page.
func (a *app) checkListen() (token string, err error) {
	for name, address := range map[string]string{"--listen": a.Listen, "--metrics-listen": a.MetricsListen} {
		if _, _, err := net.SplitHostPort(address); address != "" && err != nil {
			return "", cli.Usagef("%s %s: must be HOST:PORT, such as %s", name, address, defaultListen)
		}
	}
	if token, err = a.PageToken(); err != nil {
		return "", err
	}
	switch {
	case a.PageCert == "" && a.PageKey != "":
		return "", cli.Usagef("--page-tls-key %s: name the certificate that it is of by --page-tls-cert", a.PageKey)
	case a.PageCert == "" && a.PageClientCA != "":
		return "", cli.Usagef("--page-client-ca %s: certificates are shown by TLS alone, which needs --page-tls-cert", a.PageClientCA)
	case a.Listen == "" || isLoopback(a.Listen):
	case token == "" && a.PageClientCA == "":
		return "", cli.Usagef("--listen %s: others reach it, so name a file with a token by --page-token-file, or the authorities of clients by --page-client-ca, or listen at a loopback address such as %s", a.Listen, defaultListen)
	case a.Pprof:
		return "", cli.Usagef("--pprof: profiles are served at a loopback address alone, and --listen %s is none", a.Listen)
	}
	return token, nil
}

// listen begins to serve the page, metrics and health, or returns nil if that is not
// wanted. It serves until close is called.
func (a *app) listen(cmd *cobra.Command, store *archive.Archive, isWorker bool, log *slog.Logger) (_ *webServer, err error) {
	token, err := a.checkListen()
	if err != nil || a.Listen == "" && a.MetricsListen == "" {
		return nil, err
	}
	var secured *tls.Config // nil: --listen is served without TLS
	if a.PageCert != "" {
		if secured, err = (certs.Files{Cert: a.PageCert, Key: a.PageKey, ClientCA: a.PageClientCA}).Config(log); err != nil {
			return nil, &cli.UsageError{Err: err}
		}
	}
	s := &webServer{stopQueue: func() {}}
	var queue *worker.Queue
	if a.Redis.Value != "" {
		if queue, s.stopQueue, err = a.watchedQueue(); err != nil {
			return nil, err
		}
	}
	s.observer = newObserver(context.WithoutCancel(cmd.Context()), a, store, queue, log)
	s.metrics = metrics.New(buildVersion(debug.ReadBuildInfo()), s.observer.snapshot)
	s.readiness = &readiness{archive: store, queue: queue, isWorker: isWorker, reads: func(ctx context.Context) error {
		return s.observer.ask(ctx, func(*statusCommand) error { return nil })
	}}
	for _, at := range []struct {
		address string
		secured *tls.Config
		handler func(address string) http.Handler
	}{
		{a.MetricsListen, nil, func(string) http.Handler { return s.probes(true, s.metrics.Handler()) }},
		{a.Listen, secured, func(address string) http.Handler { return s.handler(a, address, token) }},
	} {
		if at.address == "" {
			continue
		}
		listener, err := new(net.ListenConfig).Listen(cmd.Context(), "tcp", at.address)
		if err != nil {
			s.close()
			return nil, fmt.Errorf("serve the page and metrics: %w", err)
		}
		address := listener.Addr().String()
		server := &http.Server{
			Handler: at.handler(address), TLSConfig: at.secured, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
			ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		}
		s.servers = append(s.servers, server)
		go func() { // which ends by close alone
			if at.secured != nil {
				_ = server.ServeTLS(listener, "", "")
			} else {
				_ = server.Serve(listener)
			}
		}()
		log.Info("serving http", "address", address, "page", at.address == a.Listen, "tls", at.secured != nil)
	}
	return s, nil
}

// watchedQueue returns the queue for those who watch it: it gives up soon where Redis does
// not answer, and Redis need not be there yet.
func (a *app) watchedQueue() (_ *worker.Queue, stop func(), err error) {
	password, err := a.RedisPassword()
	if err != nil {
		return nil, nil, err
	}
	client, err := worker.NewRedisClient(worker.RedisOptions{
		URL: a.Redis.Value, Password: password, CAFile: a.RedisCA, CertFile: a.RedisCert, KeyFile: a.RedisKey, Patience: statusPatience,
	})
	if err != nil {
		return nil, nil, &cli.UsageError{Err: err}
	}
	return worker.NewQueue(client), func() { client.Close() }, nil
}

// meter is what counts the work of the process; nil counts nothing.
func (s *webServer) meter() *metrics.Metrics {
	if s == nil {
		return nil
	}
	return s.metrics
}

// stopping has the process be told not to be ready, while it ends what is under way.
func (s *webServer) stopping() {
	if s != nil {
		s.readiness.stop()
	}
}

// close ends what is served.
func (s *webServer) close() {
	if s == nil {
		return
	}
	for _, server := range s.servers {
		_ = server.Close()
	}
	s.observer.close()
	s.stopQueue()
}

// handler serves all that --listen serves at an address.
func (s *webServer) handler(a *app, address, token string) http.Handler {
	guard := page.NewGuard(address, a.PageHosts, token, s.observer.log)
	var actor page.Actor = s.observer
	if a.PageReadOnly {
		actor = nil
	}
	admit := func(h http.Handler) http.Handler { return h }
	if a.PageClientCA != "" {
		admit = requireCertificate
	}
	mux := http.NewServeMux()
	mux.Handle("/", admit(page.Handler(s.observer, guard, actor)))
	probes := s.probes(token == "" && a.PageClientCA == "", admit(guard.Wrap(s.metrics.Handler())))
	for _, path := range []string{"/livez", "/healthz", "/readyz", "/metrics"} {
		mux.Handle(path, probes)
	}
	if a.Pprof {
		profiles := http.NewServeMux()
		profiles.HandleFunc("/debug/pprof/", pprof.Index)
		profiles.HandleFunc("/debug/pprof/profile", pprof.Profile)
		profiles.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		profiles.HandleFunc("/debug/pprof/trace", pprof.Trace)
		mux.Handle("/debug/pprof/", admit(guard.Wrap(profiles)))
	}
	return mux
}

// requireCertificate lets through only who has shown a certificate that was verified.
func requireCertificate(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
			http.Error(w, "a certificate of the client is wanted", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// probes serves /livez and /readyz to all, and /metrics by a handler. Details of what is
// wrong are only for those who may see the page.
func (s *webServer) probes(detailed bool, metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	alive := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }
	mux.HandleFunc("GET /livez", alive)
	mux.HandleFunc("GET /healthz", alive)
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		line := s.readiness.check(r.Context())
		if detailed {
			line.Version = buildVersion(debug.ReadBuildInfo())
		} else {
			checks := line.Checks
			line.Checks = nil
			for _, c := range checks {
				line.Checks = append(line.Checks, healthCheck{c.Check, c.OK, ""})
			}
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if !line.Ready {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(line) // to one who may be gone
	})
	mux.Handle("GET /metrics", metrics)
	return mux
}

// errUnwell is the end of health where the worker is not well: what is wrong was printed.
var errUnwell = errors.New("the worker is not ready")

// tell is the line for a person.
func (c healthCheck) tell() string {
	state := "ok"
	if !c.OK {
		state = "FAIL"
	}
	return strings.TrimSpace(fmt.Sprintf("%-4s  %-8s  %s", state, c.Check, redact.Text(c.Detail)))
}
