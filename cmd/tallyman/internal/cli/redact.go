package cli

import (
	"io"
	"log/slog"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"

	"golang.org/x/term"

	"tallyman/fetch/redact"
)

// RedactingWriter removes secrets from what is written to To, by Redact. All
// that the process prints passes one, so no part of the program has to think of
// it. A secret must not be divided between two calls of Write, which may come
// from many goroutines at once.
type RedactingWriter struct {
	To     io.Writer
	Redact func(string) string

	// Final makes the first write that fails the last, so that nothing follows
	// half a line, and every later one fails with its error: an OutputError.
	Final bool
	Err   *OutputError // of that write; to be read once all have ended

	mu sync.Mutex
}

// Write implements io.Writer. It reports p as written in full, whatever length
// it has without its secrets.
func (w *RedactingWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.Err != nil {
		return 0, w.Err
	}
	_, err := io.WriteString(w.To, w.Redact(string(p)))
	if err != nil && w.Final {
		w.Err = &OutputError{err}
		return 0, w.Err
	}
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// terminal returns the terminal that w writes to, directly or by a
// RedactingWriter, or nil if it is none.
func terminal(w io.Writer) *os.File {
	if redacting, ok := w.(*RedactingWriter); ok {
		w = redacting.To
	}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return f
	}
	return nil
}

// A LibraryLog is what libraries log to, such as net/http: a line a Write, at debug
// level. What they quote may be bytes of an export, so it is left out.
type LibraryLog struct{ To *slog.Logger }

// quoted matches what the verb %q prints.
var quoted = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`"(\\.|[^"\\])*("|$)`) })

// Write implements io.Writer. It never fails.
func (l *LibraryLog) Write(p []byte) (int, error) {
	l.To.Debug("library: " + redact.Text(quoted().ReplaceAllLiteralString(strings.TrimSpace(string(p)), `"…"`)))
	return len(p), nil
}

// secretVariables are the ends of names of variables that hold a secret, in lower
// case and without underscores inside. Names like CREDENTIALS_FILE, which say where a
// secret is, end otherwise.
var secretVariables = []string{"secret", "secretkey", "secretaccesskey", "passwd", "password", "passphrase", "token", "apikey", "privatekey"}

// HideEnvironment makes the secrets of the environment known, so that they are
// removed from all output: the values of variables whose names say that they
// are secret, and the passwords in URLs. The value public stays visible.
func HideEnvironment(environ []string, public string) {
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		lower := strings.ToLower(name)
		isSecret := func(end string) bool { return strings.HasSuffix(strings.ReplaceAll(lower, "_", ""), end) }
		if value != public && (strings.HasSuffix(lower, "_sk") || slices.ContainsFunc(secretVariables, isSecret)) {
			redact.Add(strings.TrimSpace(value))
		}
		isURL := strings.Contains(value, "://")
		if !isURL && !strings.HasSuffix(lower, "_proxy") {
			continue
		}
		if !isURL { // proxies may lack the scheme
			value = "http://" + value
		}
		if u, err := url.Parse(value); err == nil {
			password, _ := u.User.Password()
			redact.Add(password)
			redact.AddQuery(u.RawQuery)
			if u.User == nil {
				continue
			}
		}
		// Errors that quote a malformed URL would show its password all the same.
		_, rest, _ := strings.Cut(value, "://")
		if i := strings.LastIndexByte(rest, '@'); i >= 0 {
			_, password, _ := strings.Cut(rest[:i], ":")
			redact.Add(password)
		}
	}
}
