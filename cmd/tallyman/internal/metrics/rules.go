package metrics

import _ "embed"

// Rules are rules for Prometheus that alert on the metrics of this version.
//
//go:embed rules.yaml
var Rules string

// Dashboard is one for Grafana, of the metrics of this version.
//
//go:embed dashboard.json
var Dashboard string
