package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A collector makes gauges of a Snapshot, each time that it is asked.
type collector struct {
	snapshot     func(context.Context) (Snapshot, error)
	descriptions map[string]*prometheus.Desc // of gauges, by name
}

// scrapeTimeout is how long a scrape may take. Prometheus waits 10 s unless told otherwise.
const scrapeTimeout = 8 * time.Second

// gauges are the metrics of a Snapshot.
var gauges = []struct {
	name, help string
	labels     []string
}{
	{"tallyman_catalog_up", "1 if the catalog of the archive could be read for this scrape.", nil},
	{"tallyman_ledger_cut", "1 if the ledger lacks lines that were read before.", nil},
	{"tallyman_exports", "Exports: landed, waiting, failed, accepted (failed, and taken as it is), cancelled, damaged or absent.", []string{"place", "state"}},
	{"tallyman_exports_with_doubts", "Exports that landed with doubts that nobody has accepted.", []string{"place"}},
	{"tallyman_exports_missing", "Exports that were found when the place was listed, and that nobody has asked for.", []string{"place"}},
	{"tallyman_landed_bytes", "Content of what landed.", []string{"place"}},
	{"tallyman_landed_records", "Records of what landed, as far as they can be counted.", []string{"place"}},
	{"tallyman_place_last_listed_timestamp_seconds", "When the place was last listed.", []string{"place"}},
	{"tallyman_place_last_landed_timestamp_seconds", "When something last landed in the place.", []string{"place"}},
	{"tallyman_place_proven_timestamp_seconds", "When all of the place was last rechecked.", []string{"place"}},
	{"tallyman_place_due_timestamp_seconds", "When the place is to be listed next, by the schedule.", []string{"place"}},
	{"tallyman_place_interval_seconds", "How far apart the schedule has two listings of the place.", []string{"place"}},
	{"tallyman_place_unlisted", "1 if the place can't be listed, and nobody has accepted that.", []string{"place"}},
	{"tallyman_exports_mismatched", "Exports that landed, of which the source counts other records, and that nobody has accepted.", []string{"place"}},
	{"tallyman_place_gap_seconds", "Of the time that is to be covered, what is not, and whose grace is over.", []string{"place"}},
	{"tallyman_place_late", "1 if what is expected of the place is late.", []string{"place"}},
	{"tallyman_exports_ending", "Exports that wait, and that at the present rate won't land before they are gone at their source.", []string{"place"}},
	{"tallyman_failed_exports", "Exports that have failed and that nobody has accepted, by cause.", []string{"cause"}},
	{"tallyman_disk_size_bytes", "Size of the archive's file system.", nil},
	{"tallyman_disk_free_bytes", "What is free of the archive's file system, the reserve included.", nil},
	{"tallyman_disk_reserve_bytes", "What is kept free: no fetch begins with less.", nil},
	{"tallyman_redis_up", "1 if the Redis of the queue answers.", nil},
	{"tallyman_queue_tasks", "Tasks of the queue: pending, active, scheduled, retry or failed.", []string{"queue", "state"}},
	{"tallyman_queue_latency_seconds", "How long the oldest pending task has waited.", []string{"queue"}},
	{"tallyman_queue_waiting", "Exports that wait for their jobs without a task.", nil},
}

// newCollector returns a collector that asks snapshot.
func newCollector(snapshot func(context.Context) (Snapshot, error)) *collector {
	c := &collector{snapshot, map[string]*prometheus.Desc{}}
	for _, g := range gauges {
		c.descriptions[g.name] = prometheus.NewDesc(g.name, g.help, g.labels, nil)
	}
	return c
}

// Describe implements prometheus.Collector: which metrics there are depends on what is
// known, so they are not checked.
func (*collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	s, err := c.snapshot(ctx)
	gauge := func(name string, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(c.descriptions[name], prometheus.GaugeValue, value, labels...)
	}
	gauge("tallyman_catalog_up", number(err == nil))
	if s.Redis != nil {
		gauge("tallyman_redis_up", number(*s.Redis))
	}
	if d := s.Disk; d != nil {
		gauge("tallyman_disk_size_bytes", float64(d.Total))
		gauge("tallyman_disk_free_bytes", float64(d.Free))
		gauge("tallyman_disk_reserve_bytes", float64(d.Kept))
	}
	for _, q := range s.Queues {
		for state, n := range q.Tasks {
			gauge("tallyman_queue_tasks", float64(n), q.Queue, state)
		}
		gauge("tallyman_queue_latency_seconds", q.Latency.Seconds(), q.Queue)
	}
	if len(s.Queues) > 0 {
		gauge("tallyman_queue_waiting", float64(s.Waiting))
	}
	if err != nil {
		return // what the archive holds is not known
	}
	gauge("tallyman_ledger_cut", number(s.Cut))
	for cause, n := range s.Causes {
		gauge("tallyman_failed_exports", float64(n), cause)
	}
	for _, p := range bounded(s.Places) {
		p.collect(gauge)
	}
}

// collect makes the metrics of a place.
func (p *Place) collect(gauge func(string, float64, ...string)) {
	for state, n := range p.Exports {
		gauge("tallyman_exports", float64(n), p.Name, state)
	}
	gauge("tallyman_exports_with_doubts", float64(p.Doubts), p.Name)
	gauge("tallyman_landed_bytes", float64(p.Bytes), p.Name)
	gauge("tallyman_landed_records", float64(p.Records), p.Name)
	gauge("tallyman_place_unlisted", number(p.Unlisted), p.Name)
	gauge("tallyman_exports_mismatched", float64(p.Mismatched), p.Name)
	gauge("tallyman_exports_ending", float64(p.Ending), p.Name)
	if p.Expected {
		gauge("tallyman_place_gap_seconds", p.Gaps.Seconds(), p.Name)
		gauge("tallyman_place_late", number(p.Late), p.Name)
	}
	if p.Missing != nil {
		gauge("tallyman_exports_missing", float64(*p.Missing), p.Name)
	}
	if p.Interval > 0 {
		gauge("tallyman_place_interval_seconds", p.Interval.Seconds(), p.Name)
	}
	for _, at := range []struct {
		name string
		at   time.Time
	}{{"tallyman_place_last_listed_timestamp_seconds", p.Listed}, {"tallyman_place_last_landed_timestamp_seconds", p.LastLanded}, {"tallyman_place_proven_timestamp_seconds", p.Proven}, {"tallyman_place_due_timestamp_seconds", p.Due}} {
		if !at.at.IsZero() {
			gauge(at.name, float64(at.at.UnixMilli())/1000, p.Name)
		}
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
