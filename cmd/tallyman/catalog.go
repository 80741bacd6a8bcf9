package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/fetch"
	"tallyman/fetch/redact"
	"tallyman/verify/archive"
	"tallyman/verify/archive/catalog"
	"tallyman/worker"
)

// placeOf is the place of an export. What is in none is grouped by its host, its bucket
// or its region.
func placeOf(reference, _ string) string {
	ref, err := fetch.ParseRef(reference)
	if err != nil {
		return ""
	}
	return ref.PlaceText()
}

// catalogOptions say where the catalog is.
func (a *app) catalogOptions() catalog.Options {
	dir := a.CacheDir
	if user, err := os.UserCacheDir(); dir == "" && err == nil {
		dir = filepath.Join(user, "tallyman")
	}
	return catalog.Options{Dir: dir, PlaceOf: placeOf}
}

// followOptions are those of a catalog that is kept open, which is to hold little of what it
// has read.
func (a *app) followOptions() catalog.Options {
	o := a.catalogOptions()
	o.Memory = 8 << 20
	return o
}

// openCatalog opens the catalog of an archive, and tells what is odd about it. The caller
// closes it, and returns its Cut, if it has one, behind all that it tells.
func (a *app) openCatalog(cmd *cobra.Command, store *archive.Archive) (*catalog.Catalog, error) {
	c, err := catalog.Open(cmd.Context(), store, a.catalogOptions())
	if err != nil {
		return nil, err
	}
	if a.Quiet {
		return c, nil
	}
	if c.Rebuilt != "" {
		fmt.Fprintf(cmd.ErrOrStderr(), "the catalog of the archive was made anew: %s\n", c.Rebuilt)
	}
	if c.InMemory != "" {
		fmt.Fprintf(cmd.ErrOrStderr(), "the catalog of the archive is in memory, and is made anew each time: %s\n", c.InMemory)
	}
	if c.Unrecorded != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "not recorded: %v\n", c.Unrecorded)
	}
	return c, nil
}

// cutOf is the error of a ledger that was cut.
func cutOf(c *catalog.Catalog) error {
	if c.Cut == nil {
		return nil
	}
	return c.Cut
}

// filtersOf returns a filter for each argument: a place, a reference, or the beginning of
// references; or one for all exports if there are none. It returns a UsageError for one of
// which the catalog knows nothing.
func filtersOf(c *catalog.Catalog, args []string) (filters []catalog.Filter, err error) {
	if len(args) == 0 {
		return []catalog.Filter{{}}, nil
	}
	var known []string
	for place, err := range c.Places() {
		if err != nil {
			return nil, err
		}
		known = append(known, place.Name)
	}
	for _, arg := range args {
		f := catalog.Filter{Places: []string{arg}}
		place, err := fetch.ParsePlace(arg)
		ref, notRef := fetch.ParseRef(arg)
		switch {
		case err == nil:
			f.Places[0] = place.String()
		case notRef == nil:
			f = catalog.Filter{Key: ref.Key()}
		case !strings.Contains(arg, "://"):
			return nil, &cli.UsageError{Err: notRef}
		}
		has, err := hasAny(c, f)
		if err == nil && !has {
			f = catalog.Filter{Prefix: arg}
			has, err = hasAny(c, f)
		}
		if err != nil {
			return nil, err
		}
		if !has {
			err := fmt.Errorf("%s: %w%s", redact.URL(arg), worker.ErrUnknownExport, cli.DidYouMean("", arg, known))
			return nil, &cli.UsageError{Err: err, Reference: redact.URL(arg)}
		}
		filters = append(filters, f)
	}
	return filters, nil
}

// hasAny reports whether a filter lets any export pass.
func hasAny(c *catalog.Catalog, f catalog.Filter) (bool, error) {
	f.Order, f.Limit = catalog.ByWhen, 1
	for _, err := range c.Exports(f) {
		return err == nil, err
	}
	return false, nil
}

// exportLine is what --json prints of an export in the catalog.
type exportLine struct {
	Schema    string     `json:"schema"`
	Reference string     `json:"reference"`
	Key       string     `json:"key"`
	Place     string     `json:"place"`
	State     string     `json:"state"` // "landed", "waiting", "failed", "cancelled", "damaged", "absent" or "removed"
	Asked     *time.Time `json:"asked,omitempty"`
	Landed    *time.Time `json:"landed,omitempty"`
	Changed   *time.Time `json:"changed,omitempty"`
	Path      string     `json:"path,omitempty"`    // of its bag
	Bytes     *int64     `json:"bytes,omitempty"`   // of content
	Records   *int64     `json:"records,omitempty"` // counted; -1: not countable
	Doubts    []string   `json:"doubts,omitempty"`
	From      *time.Time `json:"from,omitempty"` // the window that it spans
	To        *time.Time `json:"to,omitempty"`
	Group     string     `json:"group,omitempty"` // of windows that can be compared
	Profile   string     `json:"profile,omitempty"`
	Cause     string     `json:"cause,omitempty"`
	Message   string     `json:"message,omitempty"`
	RequestID string     `json:"request_id,omitempty"`
	Accepted  string     `json:"accepted,omitempty"` // the reason, if a person takes what is wrong as it is
	Attempts  int        `json:"attempts"`           // how often it landed or failed
}

func newExportLine(store *archive.Archive, e catalog.Export) exportLine {
	line := exportLine{
		Schema: "tallyman.export/v1", Reference: e.Ref, Key: e.Key, Place: e.Place, State: flagvalue.FormatPhase(e.Phase), Doubts: e.Doubts,
		Profile: e.Profile, Cause: e.Cause, Message: redact.Text(e.Message), RequestID: e.RequestID, Attempts: e.Attempts,
	}
	for to, at := range map[**time.Time]time.Time{&line.Asked: e.Asked, &line.Landed: e.Landed, &line.Changed: e.Changed} {
		if !at.IsZero() {
			*to = &at
		}
	}
	if e.Phase == catalog.Landed || e.Phase == catalog.Damaged {
		line.Path = store.Path(e.Key)
	}
	if !e.Landed.IsZero() {
		line.Bytes, line.Records = &e.Bytes, &e.Records
	}
	if w := e.Window; w != nil {
		line.Group, line.From, line.To = w.Group, new(time.Unix(w.From, 0).UTC()), new(time.Unix(w.To, 0).UTC())
	}
	if e.Accepted != nil {
		line.Accepted = e.Accepted.Reason
	}
	return line
}
