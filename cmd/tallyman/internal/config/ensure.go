package config

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/goccy/go-yaml/ast"

	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/fetch"
)

// An Ensure says which windows of a log store are to be exported, by the command ensure or,
// from the configuration file, by workers.
type Ensure struct {
	Place       fetch.Ref
	LogStore    string
	Query       string // "" is all
	Window      time.Duration
	Since       time.Duration // of the file: how far back from now
	Every       time.Duration // of the file: how far apart workers look what lacks
	Settle      time.Duration
	Zone        *time.Location
	Format      string
	Compression string
	MaxRecords  int // of a window, which is split where it has more; 0 is any
	JobsAtOnce  int
	DeleteJobs  bool
}

// The defaults of an Ensure.
const (
	DefaultWindow      = time.Hour
	DefaultSettle      = 15 * time.Minute
	DefaultFormat      = "csv"
	DefaultCompression = "zstd"
	DefaultJobsAtOnce  = 4
)

// Check returns an error that begins with the name of the setting that is out of range.
func (e *Ensure) Check() error {
	const day = 24 * time.Hour
	oneOf := func(name, text string, known ...string) error {
		if _, err := flagvalue.OneOf(known...)(text); err != nil {
			return fmt.Errorf("%s %s: %w", name, text, err)
		}
		return nil
	}
	switch {
	case e.Window < time.Minute || e.Window%time.Second != 0 || day%e.Window != 0 && e.Window%day != 0:
		return fmt.Errorf("window %s: must be at least a minute, and a part of a day or whole days", flagvalue.FormatDuration(e.Window))
	case e.Settle < 0:
		return errors.New("settle: must not be negative")
	case e.JobsAtOnce < 1:
		return fmt.Errorf("jobs-at-once %d: must be 1 or more", e.JobsAtOnce)
	case e.MaxRecords < 0:
		return fmt.Errorf("max-records %d: must be 1 or more, or 0 for any", e.MaxRecords)
	}
	return cmp.Or(oneOf("format", e.Format, "csv", "json"), oneOf("compression", e.Compression, "zstd", "gzip", "lz4", "none"))
}

// ensure reads which windows workers have exported.
func (r *fileReader) ensure(node ast.Node) error {
	defaults := Ensure{
		Window: DefaultWindow, Settle: DefaultSettle, Zone: time.UTC, Format: DefaultFormat, Compression: DefaultCompression, JobsAtOnce: DefaultJobsAtOnce,
	}
	e := defaults
	number := func(to *int) entrySetting {
		return entrySetting{kind: "int", set: func(text string) (err error) { *to, err = strconv.Atoi(text); return err }}
	}
	settings := map[string]entrySetting{
		"place":        {kind: "string", set: func(text string) (err error) { e.Place, err = fetch.ParsePlace(text); return err }},
		"logstore":     textSetting(&e.LogStore),
		"query":        textSetting(&e.Query),
		"window":       durationSetting(&e.Window, 0),
		"since":        durationSetting(&e.Since, 0),
		"every":        durationSetting(&e.Every, 0),
		"settle":       durationSetting(&e.Settle, 0),
		"align":        {kind: "string", set: func(text string) (err error) { e.Zone, err = flagvalue.ParseZone(text); return err }},
		"format":       textSetting(&e.Format),
		"compression":  textSetting(&e.Compression),
		"max-records":  number(&e.MaxRecords),
		"jobs-at-once": number(&e.JobsAtOnce),
		"delete-jobs":  {kind: "bool", set: func(text string) (err error) { e.DeleteJobs, err = strconv.ParseBool(text); return err }},
	}
	return r.entries(node, "ensure", "{place: sls://REGION/PROJECT/, logstore: access, window: 1h, since: 30d}", settings, func(entry ast.Node) error {
		switch {
		case !e.Place.IsPlace() || e.LogStore == "" || e.Since == 0:
			return r.errorAt(entry, "must have a place, a logstore and since, like {place: sls://REGION/PROJECT/, logstore: access, window: 1h, since: 30d}")
		case fetch.CompletenessOf(e.Place.String()) != fetch.ByWindows:
			return r.errorAt(entry, "%s: its service makes no jobs of windows", e.Place)
		case e.Every != 0 && e.Every < minEvery:
			return r.errorAt(entry, "every: must be at least %v", minEvery)
		}
		if err := e.Check(); err != nil {
			return r.errorAt(entry, "%w", err)
		}
		e.Every = cmp.Or(e.Every, min(e.Window, time.Hour))
		r.options.Ensure = append(r.options.Ensure, e)
		e = defaults
		return nil
	})
}
