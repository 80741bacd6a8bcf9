package config

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/goccy/go-yaml/ast"

	"tallyman/cmd/tallyman/internal/notify"
)

// What counts for a target that says nothing else.
const (
	defaultGather   = 30 * time.Second
	defaultInterval = 5 * time.Minute
	defaultPing     = 5 * time.Minute
	defaultDaily    = 8 * time.Hour // since midnight
)

var defaultTopics = []notify.Topic{notify.Damage, notify.Failed, notify.Unlisted, notify.Gap, notify.Doubt, notify.AllClear}

// The least times, with which no chat takes it for too many messages.
const (
	minGather   = time.Second
	minInterval = 10 * time.Second
	minPing     = 10 * time.Second
)

// targetSettings are the settings that targets of each service may have, besides those that
// all may.
var targetSettings = map[notify.Service]string{
	notify.Mail: "server tls from to user password-file password-env on gather interval at", notify.Command: "command on gather interval at",
	notify.Webhook: "url-file url-env secret-file secret-env on gather interval at", notify.Slack: "url-file url-env on gather interval at",
	notify.DingTalk: "url-file url-env secret-file secret-env keyword on gather interval at", notify.Feishu: "url-file url-env secret-file secret-env keyword on gather interval at",
	notify.WeCom: "url-file url-env keyword on gather interval at", notify.Ping: "url-file url-env every",
}

var targetName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`) })

// notify reads whom a worker tells of what happens in the archive.
func (r *fileReader) notify(node ast.Node) error {
	t := newTarget()
	given := map[string]bool{}
	settings := targetReaders(&t)
	for name, setting := range settings {
		set := setting.set
		setting.set = func(text string) error { given[name] = true; return set(text) }
		settings[name] = setting
	}
	return r.entries(node, "target", "{by: slack, url-file: FILE}", settings, func(entry ast.Node) error {
		if t.Name == "" {
			t.Name = string(t.By)
		}
		if err := checkTarget(&t, given); err != nil {
			return r.errorAt(entry, "%w", err)
		}
		if slices.ContainsFunc(r.options.Notify, func(other notify.Target) bool { return other.Name == t.Name }) {
			return r.errorAt(entry, "there is a target %s already: give each a name", t.Name)
		}
		r.options.Notify = append(r.options.Notify, t)
		t = newTarget()
		clear(given)
		return nil
	})
}

func newTarget() notify.Target {
	return notify.Target{On: defaultTopics, Gather: defaultGather, Interval: defaultInterval, Every: defaultPing, At: defaultDaily}
}

// targetReaders are the settings of a target.
func targetReaders(t *notify.Target) map[string]entrySetting {
	return map[string]entrySetting{
		"name": textSetting(&t.Name), "keyword": textSetting(&t.Keyword), "command": pathSetting(&t.Command),
		"url-file": pathSetting(&t.URL.File), "url-env": textSetting(&t.URL.Env), "secret-file": pathSetting(&t.Secret.File), "secret-env": textSetting(&t.Secret.Env),
		"server": textSetting(&t.Server), "from": textSetting(&t.From), "to": textSetting(&t.To), "user": textSetting(&t.User), "password-file": pathSetting(&t.Password.File), "password-env": textSetting(&t.Password.Env),
		"gather": durationSetting(&t.Gather, minGather), "interval": durationSetting(&t.Interval, minInterval), "every": durationSetting(&t.Every, minPing),
		"by": oneOf(notify.Services, func(s notify.Service) { t.By = s }), "tls": oneOf([]string{notify.TLSImplicit, notify.TLSStart, notify.TLSNone}, func(s string) { t.TLS = s }),
		"on": {kind: "stringSlice", set: func(text string) error {
			t.On = nil
			add := oneOf(notify.Topics, func(topic notify.Topic) { t.On = append(t.On, topic) })
			for topic := range strings.SplitSeq(text, ",") {
				if err := add.set(strings.TrimSpace(topic)); err != nil {
					return err
				}
			}
			return nil
		}},
		"at": {kind: "string", set: func(text string) error {
			clock, err := time.Parse("15:04", text)
			t.At = time.Duration(clock.Hour())*time.Hour + time.Duration(clock.Minute())*time.Minute
			if err != nil {
				return errors.New(`must be a time of the day like "08:00"`)
			}
			return nil
		}},
	}
}

// checkTarget says what a target lacks of what its service needs, or has too much.
func checkTarget(t *notify.Target, given map[string]bool) error {
	if t.By == "" {
		return errors.New("must have by, such as by: mail")
	}
	may := append(strings.Fields(targetSettings[t.By]), "name", "by")
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(may, name) {
			return fmt.Errorf("%s: a target by %s has no such setting", name, t.By)
		}
	}
	both := func(s notify.Secret) bool { return s.File != "" && s.Env != "" }
	switch {
	case !targetName().MatchString(t.Name):
		return fmt.Errorf("name: %q: must be letters, digits, dots, _ and -", t.Name)
	case both(t.URL) || both(t.Secret) || both(t.Password):
		return errors.New("a secret is in a file or in a variable, not in both")
	case t.By == notify.Command && t.Command == "":
		return errors.New("must have command: PROGRAM")
	case t.By == notify.Mail:
		return checkMail(t)
	case t.By != notify.Command && t.URL == notify.Secret{}:
		return errors.New("must have url-file: FILE, or url-env: VARIABLE, with the URL, which is a secret")
	}
	return nil
}

func checkMail(t *notify.Target) error {
	_, port, err := net.SplitHostPort(t.Server)
	if err != nil {
		return errors.New("must have server: HOST:PORT")
	}
	switch {
	case t.TLS != "":
	case port == "465": // which the standard has for mail by TLS
		t.TLS = notify.TLSImplicit
	default:
		t.TLS = notify.TLSStart
	}
	_, fromErr := mail.ParseAddress(t.From)
	_, toErr := mail.ParseAddressList(t.To)
	switch {
	case fromErr != nil || toErr != nil:
		return errors.New("must have from: ADDRESS and to: ADDRESS, several with commas")
	case (t.User == "") != (t.Password == notify.Secret{}):
		return errors.New("user goes with password-file: FILE or password-env: VARIABLE")
	case t.User != "" && t.TLS == notify.TLSNone:
		return errors.New("no password is sent without TLS")
	}
	return nil
}
