package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"tallyman/fetch/sandbox"
)

// TestStraightPath fetches one job from its reference to a bag, and nothing
// else: a zstd CSV in several ranges, with every promise held. It runs the
// command in the process of the test, so that coverage shows which functions
// an ordinary fetch passes through:
//
//	go test ./cmd/tallyman -run 'TestStraightPath$' -coverpkg=./... -coverprofile=straight.cov
//	go tool cover -func=straight.cov
func TestStraightPath(t *testing.T) {
	for name, value := range environment(t.TempDir()) {
		t.Setenv(name, value)
	}
	want := sandbox.Generate(20000, "csv", 1)
	cloud := sandbox.New(sandbox.Options{AccessKeyID: accessKeyID, AccessKeySecret: accessKeySecret})
	cloud.AddJob(testProject, sandbox.Job{Name: "nightly", File: sandbox.File{Rows: 20000, Codec: "zstd", Format: "csv", Seed: 1}})
	endpoint, stop, err := cloud.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()

	dir := filepath.Join(t.TempDir(), "archive")
	var stdout, stderr bytes.Buffer
	args := []string{"fetch", "sls://cn-hangzhou/" + testProject + "/nightly", "-q",
		"--archive", dir, "--endpoint", "sls=" + endpoint, "--allow-host", "127.0.0.1", "--part-size", "64KiB"}
	if code := run(args, &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s%s", code, &stdout, &stderr)
	}
	bag := filepath.Join(dir, "sls", "cn-hangzhou", testProject, "nightly")
	if got := strings.TrimSpace(stdout.String()); got != bag {
		t.Errorf("stdout names %q, want the bag at %s", got, bag)
	}
	got, err := os.ReadFile(filepath.Join(bag, "data", "nightly.csv"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes landed, which are not the %d of the export", len(got), len(want))
	}
	receipt, err := os.ReadFile(filepath.Join(bag, "receipt.json"))
	if version := fmt.Sprintf(`"version": %q`, buildVersion(debug.ReadBuildInfo())); err != nil || !bytes.Contains(receipt, []byte(version)) {
		t.Errorf("the receipt is %s, %v; want %s in it", receipt, err, version)
	}
	if cloud.Counts().Jobs[testProject+"/nightly"].Requests < 2 {
		t.Error("the file came in one request, want several ranges")
	}
}
