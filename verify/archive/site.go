package archive

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// A Site is what there is where an archive is looked for. They are ordered: the later
// a Site comes, the more likely it is a mistake to make an archive there.
type Site int

// The Sites.
const (
	SiteArchive  Site = iota // an archive, so none is made
	SiteAbsent               // no directory, in a directory that is there
	SiteBegun                // a directory with an ingest area and no archive yet
	SiteEmpty                // an empty directory: the disk that belongs there may not be mounted
	SiteRemote               // no directory, nor the one that it would be in
	SiteOccupied             // a directory with something else in it
	SiteExports              // a directory with exports, whose archive.json is lost
	SiteNowhere              // a symbolic link to nothing
)

// String says what there is, after the name of the directory.
func (s Site) String() string {
	return [...]string{
		SiteArchive:  "is an archive",
		SiteAbsent:   "does not exist",
		SiteBegun:    "has the beginning of an archive, but no " + identityFile,
		SiteEmpty:    "is an empty directory",
		SiteRemote:   "does not exist, nor does the directory that it would be in",
		SiteOccupied: "is not an archive: it has files, but no " + identityFile,
		SiteExports:  "has exports, but its " + identityFile + " is lost",
		SiteNowhere:  "is a symbolic link to nothing",
	}[s]
}

// A NoArchiveError says that there is no archive, and that none was made. It is
// fs.ErrNotExist.
type NoArchiveError struct {
	Dir  string
	ID   string // that was asked for, or ""
	Site Site
}

// Error implements error.
func (e *NoArchiveError) Error() string { return fmt.Sprintf("there is none: %s %s", e.Dir, e.Site) }

// Is implements the interface of errors.Is.
func (e *NoArchiveError) Is(target error) bool { return target == fs.ErrNotExist }

// inspect returns what there is in the place of dir.
func inspect(dir string) (Site, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if info, err := os.Lstat(dir); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return SiteNowhere, nil
		}
		if _, err = os.Stat(filepath.Dir(dir)); errors.Is(err, fs.ErrNotExist) {
			return SiteRemote, nil
		}
		return SiteAbsent, err
	}
	if err != nil {
		return 0, err
	}
	is := func(name string) func(fs.DirEntry) bool {
		return func(e fs.DirEntry) bool { return e.Name() == name }
	}
	entries = slices.DeleteFunc(entries, is("lost+found")) // which a new file system has
	switch {
	case slices.ContainsFunc(entries, is(identityFile)): // another process has made it
		return SiteArchive, nil
	case len(entries) == 0:
		return SiteEmpty, nil
	case len(entries) == 1 && entries[0].Name() == ingestDir && entries[0].IsDir():
		return SiteBegun, nil
	case holdsBag(dir):
		return SiteExports, nil
	}
	return SiteOccupied, nil
}

// maxInspected is after how many files the search for a bag is given up: the
// directory may be anybody's, with millions of them. An archive has no more before
// its first bag.
const maxInspected = 10_000

// holdsBag reports whether there is a bag in dir.
func holdsBag(dir string) (found bool) {
	seen := 0
	_ = fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		seen++
		found = err == nil && d.Type().IsRegular() && slices.Contains(tagFiles, d.Name())
		switch {
		case found || seen == maxInspected:
			return fs.SkipAll
		case path == ingestDir || path == damagedDir:
			return fs.SkipDir
		}
		return nil // even if a directory can't be read
	})
	return found
}

// makeWithin makes an archive where the Site comes no later than may, unless another
// process is first: it is built beside its place and renamed into that, or built in the
// directory that is there.
func (a *Archive) makeWithin(id string, may Site) error {
	site, err := inspect(a.dir)
	switch {
	case err != nil:
		return err
	case site == SiteArchive:
		return nil
	case site > may:
		return &NoArchiveError{a.dir, id, site}
	}
	if id == "" {
		random := make([]byte, 16)
		rand.Read(random)
		id = hex.EncodeToString(random)
	}
	draft, named := a.dir, a.dir // named is the directory that gets a name
	beside := site == SiteAbsent || site == SiteRemote
	if beside {
		named = filepath.Dir(a.dir)
		draft = filepath.Join(named, draftPrefix+rand.Text())
		defer a.disk.removeAll(draft)
	}
	if err = a.makeIn(draft, identity{identitySchema, id}); err == nil && beside {
		err = a.disk.rename(draft, a.dir) // which fails if a directory is there
	}
	a.Made = err == nil
	a.fresh = a.Made && site < SiteOccupied
	switch {
	case a.Made || errors.Is(err, fs.ErrExist):
		err = a.disk.step.SyncDir(named)
	case !beside:
		_ = os.Remove(filepath.Join(a.dir, ingestDir)) // which fails if anything is in it
	}
	if err != nil {
		return fmt.Errorf("make %s: %w", a.dir, err)
	}
	return nil
}

// makeIn makes what an archive begins with. It fails if the file system has no hard
// links, as each export needs them.
func (a *Archive) makeIn(dir string, i identity) error {
	draft := filepath.Join(dir, ingestDir, rand.Text()+".json")
	if err := a.disk.mkdirs(filepath.Dir(draft)); err != nil {
		return err
	}
	err := a.disk.writeJSON(draft, i)
	isDraft := func(e fs.DirEntry) bool { return e.Name() == filepath.Base(draft) }
	if entries, listErr := os.ReadDir(filepath.Dir(draft)); err == nil && listErr == nil && !slices.ContainsFunc(entries, isDraft) {
		err = fmt.Errorf("%w that keeps the letters of a name: it has no %s now, which was made there", ErrFileSystem, draft)
	}
	if err == nil {
		err = a.disk.link(draft, filepath.Join(dir, identityFile))
	}
	return errors.Join(err, a.disk.removeAll(draft), a.disk.step.SyncDir(dir))
}
