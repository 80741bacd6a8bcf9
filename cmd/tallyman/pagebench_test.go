package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/config"
	"tallyman/verify/archive"
)

// BenchmarkPage asks for each view of the page over the archive $BIG_ARCHIVE, which the
// benchmarks of the catalog make, by a catalog in $BIG_CACHE. It reports the slowest answer
// in milliseconds, the CPU that an answer takes, which other work does not lengthen, and how
// much memory the process took more than before.
func BenchmarkPage(b *testing.B) {
	a := &app{Options: config.New(providerNames)}
	a.Archive, a.CacheDir, a.Listen = os.Getenv("BIG_ARCHIVE"), os.Getenv("BIG_CACHE"), "127.0.0.1:0"
	if a.Archive == "" || a.CacheDir == "" {
		b.Skip("no archive is named: .ci/bench page makes one")
	}
	store, err := archive.Open(a.Archive, "", archive.SiteAbsent)
	if err != nil {
		b.Fatal(err)
	}
	cmd := &cobra.Command{}
	cmd.SetContext(b.Context())
	s, err := a.listen(cmd, store, false, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	defer s.close()
	h := s.handler(a, "127.0.0.1:8410", "")
	if c, err := s.observer.app.openCatalog(cmd, store); err != nil { // made, if need be
		b.Fatal(err)
	} else if err := c.Close(); err != nil {
		b.Fatal(err)
	}
	runtime.GC()
	before := residentMiB(b)
	place := "place=sls://cn-hangzhou/project-07/"
	for _, view := range []struct{ name, path string }{
		{"places", "/"}, {"newest", "/exports"}, {"of-a-place", "/exports?" + place}, {"failed", "/exports?state=failed"}, {"doubts", "/exports?state=doubts"},
		{"cause", "/exports?state=failed&cause=corrupt&open=1"}, {"since", "/exports?since=2026-11-10"}, {"far-back", "/exports?older=" + strconv.FormatInt(time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC).UnixMilli(), 10) + ".x"},
		{"search", "/exports?text=job-0000123"}, {"search-in-a-place", "/exports?text=job-0000123&" + place}, {"reference", "/exports?text=sls://cn-hangzhou/project-03/job-00000003"},
		{"export", "/export?ref=sls://cn-hangzhou/project-03/job-00000003"}, {"coverage", "/coverage?" + place}, {"metrics", "/metrics"},
	} {
		b.Run(view.name, func(b *testing.B) {
			slowest, used := time.Duration(0), spentCPU(b)
			for b.Loop() {
				r, w := httptest.NewRequestWithContext(b.Context(), http.MethodGet, view.path, nil), httptest.NewRecorder()
				r.Host = "127.0.0.1:8410"
				began := time.Now()
				h.ServeHTTP(w, r)
				if slowest = max(slowest, time.Since(began)); w.Code != http.StatusOK {
					b.Fatal(w.Code, w.Body)
				}
			}
			b.ReportMetric(float64(slowest.Microseconds())/1000, "slowest-ms")
			b.ReportMetric(float64((spentCPU(b)-used).Microseconds())/1000/float64(b.N), "cpu-ms/op")
			b.ReportMetric(residentMiB(b)-before, "MiB-more")
		})
	}
}

// spentCPU is what the process has taken.
func spentCPU(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// residentMiB is how much memory the process has.
func residentMiB(b *testing.B) float64 {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, _ := strconv.Atoi(strings.Fields(rest)[0])
			return float64(kib) / 1024
		}
	}
	return 0
}
