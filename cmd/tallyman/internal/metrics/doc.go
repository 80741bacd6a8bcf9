// Package metrics tells Prometheus how an archive, its queue and a worker fare.
//
// What is in the archive, it asks when it is scraped: gauges by place, of which there are
// few, and never by job. What a worker does, it counts as it happens.
//
// The rules that alert on these metrics, and a dashboard of them, are in the package too:
// they fit the metrics of the same version.
package metrics
