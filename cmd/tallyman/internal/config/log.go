package config

import (
	"log/slog"

	"github.com/spf13/pflag"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/cmd/tallyman/internal/logging"
)

// AddLog adds the flags of commands that log.
func (o *Options) AddLog(f *pflag.FlagSet) {
	o.LogFormat = flagvalue.New("text|json", "", flagvalue.OneOf(logging.Text, logging.JSON))
	o.LogLevel = flagvalue.New("debug|info|warn|error", "", flagvalue.OneOf("debug", "info", "warn", "error"))
	f.Var(&o.LogFormat, "log-format", "log lines of text or of JSON; their keys are in\n'tallyman help logs' (default text, or json with --json)")
	f.Var(&o.LogLevel, "log-level", "log what is so grave or more (default info,\nwarn with --quiet, debug with --verbose)")
	cli.GroupFlags(f, "What to log", "log-format", "log-level")
}

// Log is how logs are written, and from which level on: as the flags of the log say or, where
// they say nothing, those of the output.
func (o *Options) Log() (format string, level slog.Level) {
	format = o.LogFormat.Value
	switch {
	case format != "":
	case o.JSON:
		format = logging.JSON
	default:
		format = logging.Text
	}
	switch {
	case o.LogLevel.Value != "":
		_ = level.UnmarshalText([]byte(o.LogLevel.Value)) // which is one of those that it takes
	case o.Quiet:
		level = slog.LevelWarn
	case o.Verbose:
		level = slog.LevelDebug
	}
	return format, level
}
