package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log"
	"strings"
	"testing"

	"tallyman/fetch"
	"tallyman/fetch/redact"
	"tallyman/verify/archive"
	"tallyman/worker"
)

func TestNoSecretOfTheEnvironmentGetsThroughAVeil(t *testing.T) {
	t.Parallel()
	hideEnvironment([]string{
		"SOME_ACCESS_KEY_SECRET= veiled-1 ", "SOME_SK=veiled-2", "ALIBABA_CLOUD_SECURITY_TOKEN=veiled-3", "SOME_SECRET_KEY=veiled-4",
		"REDIS_URL=redis://user:veiled%2F5@h:6379/0", "OTHER_URL=redis://h:6379?password=veiled-6", "HTTPS_PROXY=user:veiled-7@h:1",
		"https_proxy=http://user:veiled-8@h:port", "DATABASE_URL=x://u:veiled-9/with@and/slash@h/x",
		"ALIBABA_CLOUD_CREDENTIALS_FILE=/shown/credentials", "SOME_URL=https://h:80/shown@scope", "PWD=/shown-1", "SOME_TOKEN=word", "ACCESS_KEY_ID=shown-id-1",
	})
	text := "veiled-1 veiled-2 veiled-3 veiled-4 veiled/5 veiled%2F5 veiled-6 veiled-7 veiled-8 veiled-9/with@and/slash /shown/credentials h:80/shown@scope /shown-1 word shown-id-1"
	want := strings.Repeat("*** ", 10) + "/shown/credentials h:80/shown@scope /shown-1 word shown-id-1"
	var b bytes.Buffer
	if n, err := fmt.Fprint(&veil{&b, redact.Known}, text); err != nil || n != len(text) || b.String() != want {
		t.Errorf("%d, %v: %s, want %s", n, err, &b, want)
	}
}

func TestStdoutIsAsItIsButForWhatIsKnown(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		`{"reference":"dis://r/t/access_token=2025.csv","path":"/archive/https/h/a%3Ftoken=b"}`, "sls://r/p/j?a", "/archive/a?Signature=b",
	} {
		var b bytes.Buffer
		fmt.Fprintln(&veil{&b, redact.Known}, line)
		if b.String() != line+"\n" {
			t.Errorf("%s becomes %s", line, &b)
		}
	}
}

func TestAVeilTellsThatItCannotWrite(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	r.CloseWithError(io.ErrShortBuffer)
	if n, err := (&veil{w, redact.Text}).Write([]byte("a")); n != 0 || !errors.Is(err, io.ErrShortBuffer) {
		t.Errorf("%d, %v", n, err)
	}
}

const leak = "see https://h/a?Signature=canary-sealed-7"

func TestAPanicOfACommandIsADefectAndTellsNoSecret(t *testing.T) {
	t.Parallel()
	var stderr bytes.Buffer
	err := recovering(func() error { panic(leak) })
	code := exitCode(t.Context(), err, &veil{&stderr, redact.Text})
	said := stderr.String()
	if code != worker.ExitUnknown || !strings.Contains(said, "tallyman: panic: see https://h/a?Signature, in tallyman/cmd/tallyman.") || !strings.Contains(said, "please report it") {
		t.Errorf("exit code %d: %s", code, said)
	}
	hidden(t, "stderr", said, secrets)
}

type oneReference struct{ ref fetch.Ref }

func (o oneReference) all(context.Context) iter.Seq2[fetch.Ref, error] {
	return func(yield func(fetch.Ref, error) bool) { yield(o.ref, nil) }
}

func TestAPanicOverOneReferenceFailsThatOne(t *testing.T) {
	t.Parallel()
	store, err := archive.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ref, err := fetch.ParseRef("sls://r/p/j")
	if err != nil {
		t.Fatal(err)
	}
	for _, json := range []bool{false, true} {
		var stdout, stderr bytes.Buffer
		out := newReport(&stdout, &stderr, &options{json: json}, store)
		each(t.Context(), oneReference{ref}, 1, out, func(context.Context, fetch.Ref) { panic(leak) })
		if code := exitCode(t.Context(), out.exit(), io.Discard); code != worker.ExitUnknown || !strings.Contains(stderr.String(), "sls://r/p/j: crashed: panic: ") {
			t.Errorf("exit code %d: %s", code, &stderr)
		}
		hidden(t, "stdout", stdout.String(), secrets)
		hidden(t, "stderr", stderr.String(), secrets)
	}
}

func TestWhatLibrariesLogPassesTheVeil(t *testing.T) {
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
