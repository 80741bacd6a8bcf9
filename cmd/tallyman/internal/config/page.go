package config

import (
	"os"
	"strings"

	"github.com/spf13/pflag"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/fetch/redact"
)

// AddListen adds the flag that says where the page, metrics and health are served.
func (o *Options) AddListen(f *pflag.FlagSet, usage string) {
	f.StringVar(&o.Listen, "listen", "", usage+"\n(the setting is page-listen, TALLYMAN_PAGE_LISTEN)")
	_ = f.SetAnnotation("listen", SettingName, []string{"page-listen"})
}

// AddPage adds the other flags of commands that serve the page, metrics and health.
func (o *Options) AddPage(f *pflag.FlagSet) {
	f.StringVar(&o.MetricsListen, "metrics-listen", "", "serve /metrics, /livez and /readyz at `ADDR` too, which\nneed no token there")
	f.StringSliceVar(&o.PageHosts, "page-host", nil, "answer requests for `HOST[:PORT]` too, such as the name that\na proxy in front has (repeatable, or with commas)")
	f.StringVar(&o.PageTokenFile, "page-token-file", "", "`FILE` with the token that whoever sees the page must have:\nneeded unless --listen is a loopback address, or with\n--page-client-ca")
	f.StringVar(&o.PageCert, "page-tls-cert", "", "serve --listen by TLS, with the certificate in `FILE`, which is\nread again when it changes")
	f.StringVar(&o.PageKey, "page-tls-key", "", "`FILE` with the key of that certificate;\nit may be in the same file")
	f.StringVar(&o.PageClientCA, "page-client-ca", "", "let only clients see the page that have a certificate of the\nauthorities in `FILE`; it may stand for a token")
	f.BoolVar(&o.PageReadOnly, "page-read-only", false, "have the page change nothing: without it, people can retry,\ncancel and accept there")
	f.BoolVar(&o.Pprof, "pprof", false, "serve /debug/pprof too, on a loopback address alone")
	cli.GroupFlags(f, "What to serve", "listen", "metrics-listen", "page-host", "page-token-file", "page-tls-cert", "page-tls-key", "page-client-ca", "page-read-only", "pprof")
}

// PageToken returns the token of the page, or "" if there is none. It makes it known as a
// secret. A token that can be guessed is a UsageError.
func (o *Options) PageToken() (string, error) {
	if o.PageTokenFile == "" {
		return "", nil
	}
	b, err := os.ReadFile(o.PageTokenFile)
	if err != nil {
		return "", cli.Usagef("--page-token-file: %w", err)
	}
	token := strings.TrimRight(string(b), "\r\n")
	if len(token) < minToken {
		return "", cli.Usagef("--page-token-file: %s must have at least %d characters, such as 'openssl rand -hex 16' prints", o.PageTokenFile, minToken)
	}
	redact.Add(token)
	return token, nil
}

// minToken is how long a token is that nobody guesses.
const minToken = 16
