package config

import (
	"cmp"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/pflag"

	"tallyman/cmd/tallyman/internal/cli"
)

// Complete sets the flags that were not given, from the environment and then
// from the configuration file. A variable that is empty counts as not set. The
// file may set each flag in known, those of every command, by its name; values
// for other commands are tried out on known. It is called if there is a file. What is wrong with a setting is a
// UsageError.
func (o *Options) Complete(flags *pflag.FlagSet, known func() map[string]*pflag.Flag) error {
	redisGiven := flags.Changed("redis")
	var err error
	flags.VisitAll(func(f *pflag.Flag) {
		name := "TALLYMAN_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value := os.Getenv(name)
		if value == "" || f.Changed || f.Name == "redis" || err != nil {
			return
		}
		if setErr := flags.Set(f.Name, value); setErr != nil {
			err = cli.Usagef("%s: %w", name, setErr)
		}
	})
	if err != nil {
		return err
	}
	if flags.Lookup("endpoint") != nil {
		for _, provider := range o.providers {
			name := "TALLYMAN_ENDPOINT_" + strings.ToUpper(provider)
			value := os.Getenv(name)
			if value == "" || o.Endpoints.Value[provider] != "" {
				continue
			}
			if err := o.Endpoints.Set(provider + "=" + value); err != nil {
				return cli.Usagef("%s: %w", name, err)
			}
		}
	}
	if err := o.readFile(flags, known); err != nil {
		return err
	}
	// Unlike a flag and the file, the environment may hold the password.
	if text := cmp.Or(os.Getenv("TALLYMAN_REDIS"), os.Getenv("REDIS_URL")); text != "" && !redisGiven {
		o.Redis.Value = text
	}
	if o.Archive == "" {
		return cli.Usagef("--archive: must be a directory, and is empty")
	}
	if o.ArchiveID != "" && !archiveID.MatchString(o.ArchiveID) {
		return cli.Usagef("--archive-id %s: must be 32 hexadecimal digits, as 'tallyman init' prints them", o.ArchiveID)
	}
	return nil
}

// archiveID matches the IDs of archives.
var archiveID = regexp.MustCompile(`^[0-9a-f]{32}$`)
