package metrics

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tallyman/fetch/fetchtest"
)

// Each alert fires when it is to and not before, and none does while all is well, as Prometheus
// itself judges it.
func TestEachAlertFiresAndOnlyThen(t *testing.T) {
	t.Parallel()
	promtool, err := exec.LookPath("promtool")
	if err != nil && fetchtest.Required("promtool") {
		t.Fatal("TALLYMAN_REQUIRE lists promtool: ", err)
	} else if err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	// What an alert says is not compared: the tests would repeat all of it.
	bare := regexp.MustCompile(`(?m)^        annotations:\n(          .*\n)+`).ReplaceAllString(Rules, "")
	files := map[string][]byte{"rules.yaml": []byte(bare), "whole.yaml": []byte(Rules)}
	calls := [][]string{{"check", "rules", "--lint-fatal", "whole.yaml"}, {"test", "rules", "sound.yaml"}}
	if files["sound.yaml"], err = os.ReadFile(filepath.Join("testdata", "sound_series.yaml")); err != nil {
		t.Fatal(err)
	}
	var tested string
	for _, name := range []string{"minutes_test.yaml", "hours_test.yaml", "days_test.yaml"} {
		if files[name], err = os.ReadFile(filepath.Join("testdata", name)); err != nil {
			t.Fatal(err)
		}
		calls, tested = append(calls, []string{"test", "rules", name}), tested+string(files[name])
	}
	for _, m := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(Rules, -1) {
		if !strings.Contains(tested, "alertname: "+m[1]+"\n") {
			t.Errorf("no test has %s fire", m[1])
		}
		if !strings.Contains(tested, "alertname: "+m[1]+", exp_alerts: []}") {
			t.Errorf("no test has %s not fire yet", m[1])
		}
		for _, at := range []string{"1h", "47h"} {
			files["sound.yaml"] = fmt.Appendf(files["sound.yaml"], "      - {eval_time: %s, alertname: %s, exp_alerts: []}\n", at, m[1])
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range calls {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %q: %v\n%s", args, err, out)
		}
	}
}

// The rules and the dashboard name metrics that there are.
func TestRulesAndDashboardNameMetricsThatThereAre(t *testing.T) {
	t.Parallel()
	known := []string{"tallyman_build_info", "tallyman_fetch_bytes_total", "tallyman_fetches_total", "tallyman_landing_seconds_bucket"}
	for _, g := range gauges {
		known = append(known, g.name)
	}
	var dashboard struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	if err := json.Unmarshal([]byte(Dashboard), &dashboard); err != nil || len(dashboard.Panels) == 0 {
		t.Fatal(err, dashboard)
	}
	for _, name := range regexp.MustCompile(`tallyman_\w+`).FindAllString(Rules+Dashboard, -1) {
		if !slices.Contains(known, name) {
			t.Errorf("there is no metric %s", name)
		}
	}
}

// Where Prometheus and Grafana look are whole files, and nothing else.
func TestFilesAreWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 2 { // over those of an earlier version, too
		if err := WriteFiles(dir); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Fatal(err, entries)
	}
	for name, want := range map[string]string{"rules.yaml": Rules, "dashboard.json": Dashboard} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(text) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := WriteFiles(filepath.Join(dir, "none")); err == nil {
		t.Error("it writes into a directory that is not there")
	}
}
