package config

import (
	"errors"
	"time"

	"github.com/goccy/go-yaml/ast"

	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/worker"
)

// The least that can be asked for: below the one all would be rechecked all the time, and
// below the other it would not end.
const (
	minRecheck     = time.Hour
	minRecheckRate = 64 << 10
)

// recheck reads within which time, and how fast, what has landed is rechecked.
func (r *fileReader) recheck(node ast.Node) error {
	var set worker.Recheck
	settings := map[string]entrySetting{
		"every": durationSetting(&set.Every, minRecheck),
		"rate": {kind: "SIZE", set: func(text string) (err error) {
			if set.Rate, err = flagvalue.ParseSize(text); err == nil && set.Rate < minRecheckRate {
				err = errors.New("must be at least 64KiB, in bytes a second")
			}
			return err
		}},
	}
	if r.describe != nil {
		r.describe("recheck", settings)
		return nil
	}
	return r.entry(node, "recheck", settings, func(entry ast.Node) error {
		if set.Every == 0 {
			return r.errorAt(entry, "must have every, like {every: 30d}")
		}
		r.options.Recheck = set
		return nil
	})
}
