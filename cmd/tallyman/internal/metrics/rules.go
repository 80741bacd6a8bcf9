package metrics

import (
	_ "embed"
	"os"
	"path/filepath"
)

// Rules are rules for Prometheus that alert on the metrics of this version.
//
//go:embed rules.yaml
var Rules string

// Dashboard is one for Grafana, of the metrics of this version.
//
//go:embed dashboard.json
var Dashboard string

// WriteFiles writes both into a directory that is there, as rules.yaml and dashboard.json. Who
// reads them meanwhile sees the whole of the old file or of the new one.
func WriteFiles(dir string) error {
	for name, text := range map[string]string{"rules.yaml": Rules, "dashboard.json": Dashboard} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
			return err
		}
		if err := os.Rename(path+".new", path); err != nil {
			return err
		}
	}
	return nil
}
