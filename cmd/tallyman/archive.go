package main

import (
	"errors"
	"fmt"
	"io/fs"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/fetch"
	"tallyman/verify/archive"
)

// mayMake returns the last Site where an archive is made, if that is may unless
// --archive-id or --create says otherwise.
func (a *app) mayMake(may archive.Site) archive.Site {
	switch {
	case a.Create:
		return archive.SiteRemote
	case a.ArchiveID != "": // there ought to be one
		return archive.SiteArchive
	}
	return may
}

// openArchive opens the archive of --archive, or makes it where may allows that.
func (a *app) openArchive(may archive.Site) (*archive.Archive, error) {
	store, err := archive.Open(a.Archive, a.ArchiveID, may)
	if store != nil {
		store.WindowOf = fetch.WindowOf
	}
	return store, err
}

// made says which archive was made.
func (a *app) made(store *archive.Archive) string {
	return fmt.Sprintf("made an archive in %s, since there was none: its ID is %s", a.Archive, store.ID())
}

// openPlanned returns the archive that a fetch would open, or nil if the fetch
// would make one.
func (a *app) openPlanned() (*archive.Archive, error) {
	store, err := a.openArchive(archive.SiteArchive)
	if none, ok := errors.AsType[*archive.NoArchiveError](err); ok && none.Site <= a.mayMake(archive.SiteBegun) {
		return nil, nil
	}
	return store, err
}

// openExisting returns the archive of --archive, or nil if there is none and
// --archive-id names none.
func (a *app) openExisting() (*archive.Archive, error) {
	store, err := a.openArchive(archive.SiteArchive)
	if errors.Is(err, fs.ErrNotExist) && a.ArchiveID == "" {
		return nil, nil
	}
	return store, err
}

var errNoArchive = errors.New("there is no archive")

// openRequired returns the archive of --archive, or a UsageError if there is
// none.
func (a *app) openRequired() (*archive.Archive, error) {
	store, err := a.openExisting()
	if err == nil && store == nil {
		err = cli.Usagef("--archive %s: %w", a.Archive, errNoArchive)
	}
	return store, err
}
