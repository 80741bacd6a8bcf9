package config

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"tallyman/cmd/tallyman/internal/notify"
)

// readNotify reads the entry of a target.
func readNotify(text string) ([]notify.Target, error) {
	o := New(providers)
	r := &fileReader{name: "c", options: o, flags: pflag.NewFlagSet("", pflag.ContinueOnError), known: map[string]*pflag.Flag{}}
	err := r.read([]byte("notify:\n  - " + text))
	return o.Notify, err
}

// A target has what it says, and else what is usual.
func TestNotify(t *testing.T) {
	t.Setenv("HOME", "/home/ops")
	url := notify.Secret{File: "/u"}
	with := func(by notify.Service, set func(*notify.Target)) notify.Target {
		target := notify.Target{Name: string(by), By: by, On: defaultTopics, Gather: 30 * time.Second, Interval: 5 * time.Minute, Every: 5 * time.Minute, At: 8 * time.Hour}
		set(&target)
		return target
	}
	mail := func(server, tls string, set func(*notify.Target)) notify.Target {
		return with(notify.Mail, func(t *notify.Target) {
			t.Server, t.TLS, t.From, t.To = server, tls, "a@b", "c@d, e@f"
			set(t)
		})
	}
	none := func(*notify.Target) {}
	for text, want := range map[string]notify.Target{
		"{by: slack, url-file: ~/u}":                               with(notify.Slack, func(t *notify.Target) { t.URL.File = "/home/ops/u" }),
		"{by: wecom, url-env: WECOM_URL, name: duty}":              with(notify.WeCom, func(t *notify.Target) { t.Name, t.URL.Env = "duty", "WECOM_URL" }),
		"{by: feishu, url-file: /u, secret-file: /s, on: damage}":  with(notify.Feishu, func(t *notify.Target) { t.URL, t.Secret.File, t.On = url, "/s", []notify.Topic{"damage"} }),
		"{by: dingtalk, url-file: /u, keyword: 告警, secret-env: S}": with(notify.DingTalk, func(t *notify.Target) { t.URL, t.Keyword, t.Secret.Env = url, "告警", "S" }),
		`{by: command, command: /c, on: [failed, daily], at: "18:30", interval: 10s}`: with(notify.Command, func(t *notify.Target) {
			t.Command, t.On, t.At, t.Interval = "/c", []notify.Topic{"failed", "daily"}, 18*time.Hour+30*time.Minute, 10*time.Second
		}),
		"{by: ping, url-file: /u, every: 1m}":                                             with(notify.Ping, func(t *notify.Target) { t.URL, t.Every = url, time.Minute }),
		`{by: mail, server: "h:465", from: a@b, to: "c@d, e@f"}`:                          mail("h:465", "implicit", none),
		`{by: mail, server: "h:25", from: a@b, to: "c@d, e@f", tls: none}`:                mail("h:25", "none", none),
		`{by: mail, server: "h:25", from: a@b, to: "c@d, e@f", user: u, password-env: P}`: mail("h:25", "starttls", func(t *notify.Target) { t.User, t.Password.Env = "u", "P" }),
	} {
		got, err := readNotify(text)
		if diff := cmp.Diff([]notify.Target{want}, got); diff != "" || err != nil {
			t.Errorf("%s: %v %s", text, err, diff)
		}
	}
}

// What a target can't be is told with its place in the file.
func TestNotifyRefuses(t *testing.T) {
	const mail = `by: mail, server: "h:25", from: a@b, to: c@d`
	for text, want := range map[string]string{
		"{url-file: /u}":                                           "c:2:6: must have by, such as by: mail",
		"{by: slak, url-file: /u}":                                 "c:2:10: by: slak: must be one of mail, command, webhook, dingtalk, feishu, wecom, slack, ping: did you mean slack?",
		"{by: slack}":                                              "c:2:6: must have url-file: FILE, or url-env: VARIABLE, with the URL, which is a secret",
		"{by: slack, url: 'https://h/'}":                           "c:2:17: url: there is no such setting of a target, only",
		"{by: slack, url-file: /u, secret-file: /s}":               "c:2:6: secret-file: a target by slack has no such setting",
		"{by: slack, url-file: /u, url-env: U}":                    "c:2:6: a secret is in a file or in a variable, not in both",
		"{by: slack, url-file: /u, on: [failed, damaged]}":         "c:2:35: on: damaged: must be one of damage, failed, unlisted, gap, doubt, all-clear, daily: did you mean damage?",
		"{by: slack, url-file: /u, at: 8am}":                       `c:2:35: at: must be a time of the day like "08:00"`,
		"{by: slack, url-file: /u, interval: 1s}":                  "c:2:41: interval: must be at least 10s",
		"{by: slack, url-file: /u, name: 'a b'}":                   `c:2:6: name: "a b": must be letters, digits, dots, _ and -`,
		"{by: slack, url-file: ~bob/u}":                            "c:2:27: url-file: ~bob/u: only ~/ is known",
		"{by: webhook, url-file: /u, secret: canary}":              "c:2:33: secret: a secret must not be in this file",
		"{by: command}":                                            "c:2:6: must have command: PROGRAM",
		"{by: ping, url-file: /u, on: [daily]}":                    "c:2:6: on: a target by ping has no such setting",
		"{" + mail + ", user: u}":                                  "c:2:6: user goes with password-file: FILE or password-env: VARIABLE",
		"{" + mail + ", user: u, password-env: P, tls: none}":      "c:2:6: no password is sent without TLS",
		"{by: mail, from: a@b, to: c@d}":                           "c:2:6: must have server: HOST:PORT",
		`{by: mail, server: "h:25", from: a, to: c@d}`:             "c:2:6: must have from: ADDRESS and to: ADDRESS, several with commas",
		"{by: slack, url-file: /u}\n  - {by: slack, url-file: /v}": "c:3:6: there is a target slack already: give each a name",
	} {
		if _, err := readNotify(text); !strings.HasPrefix(fmt.Sprint(err), want) || strings.Contains(fmt.Sprint(err), "canary") {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
