package main

import (
	"bytes"
	"context"
	"io"
	"log"
	"runtime/debug"
	"strings"
	"testing"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/fetch"
	"tallyman/fetch/redact"
	"tallyman/verify/archive"
	"tallyman/worker"
)

const leak = "see https://h/a?Signature=canary-sealed-7"

func TestAPanicOfACommandIsReportedWithoutSecrets(t *testing.T) {
	t.Parallel()
	var stderr bytes.Buffer
	err := recoverPanic(func() error { panic(leak) })
	code := exitCode(t.Context(), err, &cli.RedactingWriter{To: &stderr, Redact: redact.Text})
	said := stderr.String()
	if code != worker.ExitUnknown || !strings.Contains(said, "tallyman: panic: see https://h/a?Signature, in tallyman/cmd/tallyman.") || !strings.Contains(said, "please report it") {
		t.Errorf("exit code %d: %s", code, said)
	}
	hidden(t, "stderr", said, secrets)
}

func TestAPanicOverOneReferenceFailsThatOne(t *testing.T) {
	t.Parallel()
	store, err := archive.Open(t.TempDir(), "", archive.SiteEmpty)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := fetch.ParseRef("sls://r/p/j")
	if err != nil {
		t.Fatal(err)
	}
	refs := func(yield func(fetch.Ref, error) bool) { yield(ref, nil) }
	for _, json := range []bool{false, true} {
		var stdout, stderr bytes.Buffer
		report := cli.NewReport(&stdout, &stderr, cli.Output{JSON: json, Hint: hint}, store)
		forEachReference(t.Context(), refs, 1, report, func(context.Context, fetch.Ref) { panic(leak) })
		if code := exitCode(t.Context(), report.Exit(), io.Discard); code != worker.ExitUnknown || !strings.Contains(stderr.String(), "sls://r/p/j: crashed: panic: ") {
			t.Errorf("exit code %d: %s", code, &stderr)
		}
		hidden(t, "stdout", stdout.String(), secrets)
		hidden(t, "stderr", stderr.String(), secrets)
	}
}

func TestWhatLibrariesLogIsRedacted(t *testing.T) {
	var stdout, stderr bytes.Buffer
	defer log.SetOutput(log.Writer())
	if code := run([]string{"--version"}, &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	log.Printf("http2: Transport encoding header %q = %q", "authorization", "OSS id:canary-sealed-7")
	if said := stderr.String(); !strings.Contains(said, `"authorization" = "***"`) {
		t.Errorf("it says %s", said)
	}
}

func TestTheVersionSaysWhatWasBuilt(t *testing.T) {
	for want, built := range map[string]debug.BuildInfo{
		"(devel), go1.26": {GoVersion: "go1.26"},
		"v1.2.3, revision abc, modified, go1.26": {GoVersion: "go1.26", Main: debug.Module{Version: "v1.2.3"},
			Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "true"}}},
	} {
		if got := version(&built, true); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
