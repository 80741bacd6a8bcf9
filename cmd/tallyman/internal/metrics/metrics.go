package metrics

import (
	"context"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"tallyman/fetch"
	"tallyman/verify/archive"
	"tallyman/worker"
)

// Metrics are those of one process. Its methods may be called by many goroutines at once,
// and on nil, which counts nothing.
type Metrics struct {
	registry *prometheus.Registry

	received *prometheus.CounterVec
	ended    *prometheus.CounterVec
	failures *prometheus.CounterVec
	duration *prometheus.HistogramVec
	outages  *prometheus.GaugeVec
}

// New returns the metrics of a process of a version. Each scrape calls snapshot.
func New(version string, snapshot func(context.Context) (Snapshot, error)) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		received: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tallyman_fetch_bytes_total", Help: "Bytes that this worker received from stores, as transferred."}, []string{"provider"}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tallyman_fetches_total", Help: "Exports that ended on this worker: landed, doubts (landed with doubts) or failed."}, []string{"provider", "result"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tallyman_failures_total", Help: "Exports that failed on this worker, by cause."}, []string{"provider", "cause"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tallyman_landing_seconds", Help: "From when a worker first saw an export until that had landed.",
			Buckets: []float64{1, 10, 60, 600, 3600, 21600, 86400}}, []string{"provider"}),
		outages: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tallyman_outage", Help: "1 while this worker waits for a cause to pass that no export is to blame for."}, []string{"cause"}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "tallyman_build_info", Help: "1, with the version of the program.", ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()}})
	build.Set(1)
	m.registry.MustRegister(m.received, m.ended, m.failures, m.duration, m.outages, build, newCollector(snapshot),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler serves the metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4, Timeout: 20 * time.Second})
}

// Progress counts the bytes that an attempt receives.
func (m *Metrics) Progress(p fetch.Progress) {
	if m == nil || p.Kept || p.Bytes == 0 {
		return
	}
	m.received.WithLabelValues(p.Ref.Scheme()).Add(float64(p.Bytes))
}

// Ended counts how an export ended. A worker calls it once for each that lands or fails.
func (m *Metrics) Ended(ref fetch.Ref, receipt *archive.Receipt, err error) {
	if m == nil {
		return
	}
	result := "landed"
	switch {
	case err != nil:
		result = "failed"
		m.failures.WithLabelValues(ref.Scheme(), string(worker.Classify(err).Cause)).Inc()
	case len(receipt.Doubts) > 0:
		result = "doubts"
	}
	m.ended.WithLabelValues(ref.Scheme(), result).Inc()
	if err == nil && !receipt.FirstSeen.IsZero() {
		m.duration.WithLabelValues(ref.Scheme()).Observe(receipt.Landed.Sub(receipt.FirstSeen).Seconds())
	}
}

// Outage notes that an outage has begun, lasts, or is over.
func (m *Metrics) Outage(e worker.OutageEvent) {
	if m == nil {
		return
	}
	if e.Err != nil {
		m.outages.WithLabelValues(e.What).Set(1)
	} else {
		m.outages.WithLabelValues(e.What).Set(0)
	}
}
