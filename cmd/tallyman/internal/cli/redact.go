package cli

import (
	"io"
	"net/url"
	"os"
	"regexp"
	"strings"

	"golang.org/x/term"

	"tallyman/fetch/redact"
)

// RedactingWriter removes secrets from what is written to To, by Redact. All
// that the process prints passes one, so no part of the program has to think of
// it. A secret must not be divided between two calls of Write.
type RedactingWriter struct {
	To     io.Writer
	Redact func(string) string
}

func (w *RedactingWriter) Write(p []byte) (int, error) {
	if _, err := io.WriteString(w.To, w.Redact(string(p))); err != nil {
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

// secretVariable matches names of variables that hold a secret. It does not
// match names like CREDENTIALS_FILE, which say where a secret is.
var secretVariable = regexp.MustCompile(`(?i)(secret|secret_?(access_?)?key|passwd|password|passphrase|token|_sk|api_?key|private_?key)$`)

// HideEnvironment makes the secrets of the environment known, so that they are
// removed from all output: the values of variables whose names say that they
// are secret, and the passwords in URLs. The value public stays visible.
func HideEnvironment(environ []string, public string) {
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		if secretVariable.MatchString(name) && value != public {
			redact.Add(strings.TrimSpace(value))
		}
		if strings.Contains(value, "://") || strings.HasSuffix(strings.ToLower(name), "_proxy") {
			hidePassword(value)
		}
	}
}

// hidePassword makes the password in a URL known as a secret. The URL may lack
// its scheme, as those of proxies do. It may be malformed too: errors that
// quote it would show the password all the same.
func hidePassword(text string) {
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	if u, err := url.Parse(text); err == nil {
		password, _ := u.User.Password()
		redact.Add(password)
		redact.AddQuery(u.RawQuery)
		if u.User == nil {
			return
		}
	}
	_, rest, _ := strings.Cut(text, "://")
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		_, password, _ := strings.Cut(rest[:i], ":")
		redact.Add(password)
	}
}
