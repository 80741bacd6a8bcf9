package config

import (
	"cmp"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/pflag"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/fetch"
)

// OnlyWith is an annotation of a flag that counts only with the flag of that name. What
// the environment says of it is not read otherwise.
const OnlyWith = "tallyman_only_with"

// SettingName is an annotation of a flag whose setting has another name than the flag, since
// that is the name of another setting.
const SettingName = "tallyman_setting"

// SettingOf is the name that a flag has in the configuration file and, in capitals, in the
// environment.
func SettingOf(f *pflag.Flag) string {
	if name := f.Annotations[SettingName]; len(name) > 0 {
		return name[0]
	}
	return f.Name
}

// lookup returns the flag of a setting, or nil.
func lookup(flags *pflag.FlagSet, setting string) (found *pflag.Flag) {
	if f := flags.Lookup(setting); f != nil && SettingOf(f) == setting {
		return f
	}
	flags.VisitAll(func(f *pflag.Flag) {
		if SettingOf(f) == setting {
			found = f
		}
	})
	return found
}

// Complete sets the flags that were not given, from the environment and then
// from the configuration file. A variable that is empty counts as not set. The
// file may set each flag in known, those of every command, by its name; values
// for other commands are tried out on known, which is called if there is a file. What
// is wrong with a setting is a UsageError.
func (o *Options) Complete(flags *pflag.FlagSet, known func() map[string]*pflag.Flag) error {
	redisGiven := flags.Changed("redis")
	o.flagged = map[string]bool{}
	flags.Visit(func(f *pflag.Flag) { o.flagged[f.Name] = true })
	var err error
	flags.VisitAll(func(f *pflag.Flag) {
		name := variable(SettingOf(f))
		value := os.Getenv(name)
		if value == "" || f.Changed || f.Name == "redis" || err != nil || !counts(flags, f) {
			return
		}
		if setErr := flags.Set(f.Name, value); setErr != nil {
			err = cli.Usagef("%s: %w", name, setErr)
		}
	})
	if err != nil {
		return err
	}
	if f := flags.Lookup("endpoint"); f != nil && counts(flags, f) {
		for _, provider := range o.providers {
			name := variable("endpoint-" + provider)
			value := os.Getenv(name)
			if value == "" || o.Endpoints.Value[provider] != "" {
				continue
			}
			if err := o.Endpoints.Set(provider + "=" + value); err != nil {
				return cli.Usagef("%s: %w", name, err)
			}
		}
	}
	for _, path := range o.paths() {
		if !strings.HasPrefix(*path, "~") {
			continue
		}
		if *path, err = expandHome(*path); err != nil {
			return &cli.UsageError{Err: err}
		}
	}
	if err := o.checkNames(flags, known); err != nil {
		return err
	}
	if err := o.readFile(flags, known); err != nil {
		return err
	}
	o.WaitGiven = flags.Changed("wait")
	// Unlike a flag and the file, the environment may hold the password.
	if text := cmp.Or(os.Getenv("TALLYMAN_REDIS"), os.Getenv("REDIS_URL")); text != "" && !redisGiven {
		o.Redis.Value = text
	}
	if o.Archive == "" {
		return cli.Usagef("--archive: must be a directory, and is empty")
	}
	if o.ArchiveID != "" && !archiveID().MatchString(o.ArchiveID) {
		return cli.Usagef("--archive-id %s: must be 32 hexadecimal digits, as 'tallyman init' prints them", o.ArchiveID)
	}
	return nil
}

// variable is the name of a flag in the environment.
func variable(flag string) string {
	return "TALLYMAN_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// counts reports whether what the environment says of a flag is read; see OnlyWith.
func counts(flags *pflag.FlagSet, f *pflag.Flag) bool {
	with := f.Annotations[OnlyWith]
	return len(with) == 0 || flags.Changed(with[0]) || os.Getenv(variable(with[0])) != ""
}

// checkNames returns a UsageError if a variable of the environment is like that of a
// setting, and is none: it would count for nothing. Others may be anybody's.
func (o *Options) checkNames(flags *pflag.FlagSet, known func() map[string]*pflag.Flag) error {
	for _, pair := range os.Environ() {
		key, value, _ := strings.Cut(pair, "=")
		text, isOurs := strings.CutPrefix(key, "TALLYMAN_")
		name := strings.ReplaceAll(strings.ToLower(text), "_", "-")
		if !isOurs || value == "" || lookup(flags, name) != nil {
			continue
		}
		names := append(slices.Sorted(maps.Keys(known())), "config", "file")
		for _, provider := range o.providers {
			names = append(names, "endpoint-"+provider)
		}
		if nearest := fetch.Nearest(name, names); nearest != "" && nearest != name {
			return cli.Usagef("%s: there is no such setting: did you mean %s?", key, variable(nearest))
		}
	}
	return nil
}

// archiveID matches the IDs of archives.
var archiveID = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9a-f]{32}$`) })
