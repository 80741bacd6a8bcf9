//go:build !race

package fetch_test

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"tallyman/verify/archive"
)

// peakOf returns the peak memory, in MiB, of a process that lands n objects.
func peakOf(t *testing.T, n int) float64 {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s", landManyVar, n, dir))
	began := time.Now()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var kib float64
	if _, err := fmt.Sscan(string(out), &kib); err != nil || kib == 0 {
		t.Skipf("this system does not tell how much memory a process had: %q", out)
	}
	t.Logf("%d objects: %.1f MiB at most, %v", n, kib/1024, time.Since(began).Round(time.Millisecond))
	a, err := archive.OpenExisting(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Recheck(t.Context(), "oss/bucket/many%2F", nil); err != nil {
		t.Error(err)
	}
	return kib / 1024
}

func TestMemoryDoesNotGrowWithTheNumberOfObjects(t *testing.T) {
	few, many := peakOf(t, 100), peakOf(t, 10_000)
	if many > few+20 {
		t.Errorf("%.1f MiB for 10,000 objects, %.1f MiB for 100", many, few)
	}
}
