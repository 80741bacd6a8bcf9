package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"tallyman/fetch/redact"
	"tallyman/worker"
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
	if n, err := fmt.Fprint(&RedactingWriter{To: &b, Redact: redact.Known}, text); err != nil || n != len(text) || b.String() != want {
		t.Errorf("%d, %v: %s, want %s", n, err, &b, want)
	}
}

func TestStdoutIsUnchangedButForKnownSecrets(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		`{"reference":"dis://r/t/access_token=2025.csv","path":"/archive/https/h/a%3Ftoken=b"}`, "sls://r/p/j?a", "/archive/a?Signature=b",
	} {
		var b bytes.Buffer
		fmt.Fprintln(&RedactingWriter{To: &b, Redact: redact.Known}, line)
		if b.String() != line+"\n" {
			t.Errorf("%s becomes %s", line, &b)
		}
	}
}

func TestARedactingWriterReturnsTheErrorOfItsWriter(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	r.CloseWithError(io.ErrShortBuffer)
	if n, err := (&RedactingWriter{To: w, Redact: redact.Text}).Write([]byte("a")); n != 0 || !errors.Is(err, io.ErrShortBuffer) {
		t.Errorf("%d, %v", n, err)
	}
}

// What is written on after a full disk has room again would end a line that was
// cut.
func TestAFinalWriterWritesNothingAfterAWriteThatFailed(t *testing.T) {
	t.Parallel()
	to := &failingOnce{err: syscall.ENOSPC}
	w := &RedactingWriter{To: to, Redact: redact.Known, Final: true}
	for range 2 {
		_, err := fmt.Fprintln(w, "a line")
		if output, ok := errors.AsType[*OutputError](err); !ok || output != w.Err || !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%v, want the error of the first write", err)
		}
	}
	if to.writes != 1 {
		t.Errorf("%d writes", to.writes)
	}
	log := &RedactingWriter{To: &failingOnce{err: syscall.ENOSPC}, Redact: redact.Text}
	fmt.Fprintln(log, "a line")
	if _, err := fmt.Fprintln(log, "a line"); err != nil || log.Err != nil {
		t.Errorf("a log does not go on: %v", err)
	}
}

type failingOnce struct {
	err    error
	writes int
}

func (f *failingOnce) Write(p []byte) (int, error) {
	if f.writes++; f.writes == 1 {
		return 0, f.err
	}
	return len(p), nil
}

func TestAnErrorOfTheOutputHasTheExitCodeOfItsCause(t *testing.T) {
	t.Parallel()
	write := func(err error) error { return &fs.PathError{Op: "write", Path: "/dev/stdout", Err: err} }
	for _, test := range []struct {
		err  error
		text string
		exit int
	}{
		{write(syscall.ENOSPC), "write to standard output: no space left on device", worker.ExitDisk},
		{write(syscall.EFBIG), "write to standard output: file too large", worker.ExitDisk},
		{write(syscall.EIO), "write to standard output: input/output error", worker.ExitDisk},
		{write(syscall.EPIPE), "write to standard output: broken pipe", worker.ExitUnknown},
		{write(syscall.EBADF), "write to standard output: bad file descriptor", worker.ExitUnknown},
		{io.ErrShortWrite, "write to standard output: short write", worker.ExitUnknown},
	} {
		if err := (&OutputError{test.err}); err.Error() != test.text || Classify(err).Exit != test.exit {
			t.Errorf("%v, exit code %d; want %s, %d", err, Classify(err).Exit, test.text, test.exit)
		}
	}
}
