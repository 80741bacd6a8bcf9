package main

import (
	"bytes"
	"context"
	"io"
	"log"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/config"
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
	code := exitCode(t.Context(), err, nil, &cli.RedactingWriter{To: &stderr, Redact: redact.Text})
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
		if code := exitCode(t.Context(), report.Exit(), nil, io.Discard); code != worker.ExitUnknown || !strings.Contains(stderr.String(), "sls://r/p/j: crashed: panic: ") {
			t.Errorf("exit code %d: %s", code, &stderr)
		}
		hidden(t, "stdout", stdout.String(), secrets)
		hidden(t, "stderr", stderr.String(), secrets)
	}
}

// What libraries log may quote bytes of an export and headers of requests. It is for
// the debug log alone, without what is quoted.
func TestLibrariesAreHeardOnlyInTheDebugLog(t *testing.T) {
	defer log.SetOutput(log.Writer())
	defer log.SetFlags(log.Flags())
	dir := filepath.Join(t.TempDir(), "archive")
	if code := run([]string{"init", dir}, io.Discard, io.Discard); code != 0 {
		t.Fatalf("init: exit code %d", code)
	}
	for flags, heard := range map[string]bool{"": false, "--quiet": false, "--json": false, "--quiet --json": false, "--quiet --verbose": false, "--verbose": true, "--verbose --json": true} {
		var stdout, stderr bytes.Buffer
		args := append([]string{"status", "--archive", dir}, strings.Fields(flags)...)
		if code := run(args, &stdout, &stderr); code != 0 {
			t.Fatalf("%q: exit code %d: %s", args, code, &stderr)
		}
		before := stderr.Len()
		log.Printf("Unsolicited response received on idle HTTP channel starting with %q; err=<nil>", "a\\,\"13800000000\"")
		log.Printf("http2: Transport encoding header %q = %q", "authorization", "OSS id:canary-sealed-7")
		log.Printf("it ends within %.12q", "what is \"quoted")
		log.Print("url https://h.example/x?Signature=canary-sealed-8")
		said := stderr.String()[before:]
		if strings.Contains(said, "13800000000") || strings.Contains(said, "canary") || strings.Contains(said, "what is") {
			t.Errorf("with %q it shows what is secret: %s", flags, said)
		}
		if (said != "") != heard || heard && !strings.Contains(said, "Unsolicited response") {
			t.Errorf("with %q it says %q", flags, said)
		}
	}
}

func TestTheVersionSaysWhatWasBuilt(t *testing.T) {
	for want, built := range map[string]debug.BuildInfo{
		"(devel), go1.26": {GoVersion: "go1.26"},
		"v1.2.3, revision abc, modified, go1.26": {GoVersion: "go1.26", Main: debug.Module{Version: "v1.2.3"},
			Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "true"}}},
	} {
		if got := buildVersion(&built, true); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// The setting of --listen is not that of the sandbox's, in no command that has it.
func TestThePageHasASettingOfItsOwn(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"worker": "page-listen", "serve": "page-listen", "health": "page-listen", "sandbox": "listen"} {
		root := newRoot(io.Discard, name)
		cmd, err := findCommand(root, []string{name})
		if err != nil {
			t.Fatal(err)
		}
		if got := config.SettingOf(cmd.Flags().Lookup("listen")); got != want {
			t.Errorf("%s: the setting of --listen is %s, want %s", name, got, want)
		}
	}
}
