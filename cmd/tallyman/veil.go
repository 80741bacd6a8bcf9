package main

import (
	"io"
	"net/url"
	"os"
	"regexp"
	"strings"

	"tallyman/fetch/redact"
)

// A veil is before all that leaves the process as text: whatever is written,
// no secret gets through, be it that nobody thought of it before. What is to
// be hidden must not be divided between two writes.
type veil struct {
	to    io.Writer
	clean func(string) string
}

func (v *veil) Write(p []byte) (int, error) {
	if _, err := io.WriteString(v.to, v.clean(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// unveiled is the file that is behind a veil, or nil.
func unveiled(w io.Writer) *os.File {
	if v, ok := w.(*veil); ok {
		w = v.to
	}
	f, _ := w.(*os.File)
	return f
}

// secretVariable matches the names of those that hold a secret, rather than
// where one is.
var secretVariable = regexp.MustCompile(`(?i)(secret|secret_?(access_?)?key|passwd|password|passphrase|token|_sk|api_?key|private_?key)$`)

// hideEnvironment hides the secrets that the environment holds, and passwords
// in the URLs that it does.
func hideEnvironment(environ []string) {
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		if secretVariable.MatchString(name) && value != demoSecret { // which the sandbox prints
			redact.Add(strings.TrimSpace(value))
		}
		if strings.Contains(value, "://") || strings.HasSuffix(strings.ToLower(name), "_proxy") {
			hidePassword(value)
		}
	}
}

// hidePassword hides that of a URL, which may lack its scheme, as those of
// proxies do, or not be well formed, which makes errors quote it.
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
