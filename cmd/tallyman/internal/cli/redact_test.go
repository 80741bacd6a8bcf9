package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"tallyman/fetch/redact"
)

func TestNoSecretOfTheEnvironmentIsPrinted(t *testing.T) {
	t.Parallel()
	HideEnvironment([]string{
		"SOME_ACCESS_KEY_SECRET= hidden-1 ", "SOME_SK=hidden-2", "ALIBABA_CLOUD_SECURITY_TOKEN=hidden-3", "SOME_SECRET_KEY=hidden-4",
		"REDIS_URL=redis://user:hidden%2F5@h:6379/0", "OTHER_URL=redis://h:6379?password=hidden-6", "HTTPS_PROXY=user:hidden-7@h:1",
		"https_proxy=http://user:hidden-8@h:port", "DATABASE_URL=x://u:hidden-9/with@and/slash@h/x",
		"ALIBABA_CLOUD_CREDENTIALS_FILE=/shown/credentials", "SOME_URL=https://h:80/shown@scope", "PWD=/shown-1", "SOME_TOKEN=word", "ACCESS_KEY_ID=shown-id-1",
		"OTHER_SECRET=shown-as-the-sandbox-prints-it",
	}, "shown-as-the-sandbox-prints-it")
	text := "hidden-1 hidden-2 hidden-3 hidden-4 hidden/5 hidden%2F5 hidden-6 hidden-7 hidden-8 hidden-9/with@and/slash /shown/credentials h:80/shown@scope /shown-1 word shown-id-1 shown-as-the-sandbox-prints-it"
	want := strings.Repeat("*** ", 10) + "/shown/credentials h:80/shown@scope /shown-1 word shown-id-1 shown-as-the-sandbox-prints-it"
	var b bytes.Buffer
	if n, err := fmt.Fprint(&RedactingWriter{&b, redact.Known}, text); err != nil || n != len(text) || b.String() != want {
		t.Errorf("%d, %v: %s, want %s", n, err, &b, want)
	}
}

func TestStdoutIsUnchangedButForKnownSecrets(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		`{"reference":"dis://r/t/access_token=2025.csv","path":"/archive/https/h/a%3Ftoken=b"}`, "sls://r/p/j?a", "/archive/a?Signature=b",
	} {
		var b bytes.Buffer
		fmt.Fprintln(&RedactingWriter{&b, redact.Known}, line)
		if b.String() != line+"\n" {
			t.Errorf("%s becomes %s", line, &b)
		}
	}
}

func TestARedactingWriterReturnsTheErrorOfItsWriter(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	r.CloseWithError(io.ErrShortBuffer)
	if n, err := (&RedactingWriter{w, redact.Text}).Write([]byte("a")); n != 0 || !errors.Is(err, io.ErrShortBuffer) {
		t.Errorf("%d, %v", n, err)
	}
}
