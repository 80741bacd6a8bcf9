package catalog

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"tallyman/verify/archive"
)

const (
	suffix    = ".sqlite"
	newSuffix = ".new" // of a file that is being made

	// makeWait is how long another process may take to make the file.
	makeWait = 2 * time.Minute
	lockPoll = 20 * time.Millisecond
)

// A file is where the databases of one archive are: one, but for a moment.
type file struct {
	root   string // the real path of the archive
	prefix string // of the path: a number and the suffix follow; "": there can be none
}

// fileOf returns where the database of an archive is, or why there is none.
func fileOf(a *archive.Archive, dir string) (f file, why string) {
	root, err := filepath.Abs(a.Path(""))
	if err == nil {
		root, err = filepath.EvalSymlinks(root)
	}
	if f.root = root; err != nil {
		return f, err.Error()
	}
	if dir == "" {
		return f, "no directory is known for it"
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return f, err.Error()
	}
	dir, err = filepath.EvalSymlinks(dir)
	if err == nil {
		dir, err = filepath.Abs(dir)
	}
	switch {
	case err != nil:
		return f, err.Error()
	case dir == root || strings.HasPrefix(dir, root+string(filepath.Separator)):
		return f, dir + " is in the archive"
	case isNetwork(dir):
		return f, dir + " is on a network file system"
	}
	prefix := filepath.Join(dir, fmt.Sprintf("%s-%x-", a.ID(), sha256.Sum256([]byte(root)))[:32+1+16+1])
	lock, err := os.OpenFile(prefix+"lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return f, err.Error()
	}
	_ = lock.Close()
	f.prefix = prefix
	return f, ""
}

func (f file) path(number int) string { return f.prefix + strconv.Itoa(number) + suffix }

// newest is the number of the database, or 0 if there is none.
func (f file) newest() (number int) {
	for _, n := range f.numbers() {
		number = max(number, n)
	}
	return number
}

func (f file) numbers() (all []int) {
	entries, _ := os.ReadDir(filepath.Dir(f.prefix)) // none if it can't be read
	for _, e := range entries {
		text, ok := strings.CutPrefix(e.Name(), filepath.Base(f.prefix))
		text, isDatabase := strings.CutSuffix(text, suffix)
		if n, err := strconv.Atoi(text); ok && isDatabase && err == nil {
			all = append(all, n)
		}
	}
	return all
}

// checkHeader fails with errStale if a database is of another version, or shorter than
// it says.
func checkHeader(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%w: %w", errStale, err)
	}
	defer f.Close()
	header := make([]byte, 100)
	if _, err := f.ReadAt(header, 0); err != nil || string(header[:16]) != "SQLite format 3\x00" {
		return fmt.Errorf("%w: it is damaged", errStale)
	}
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("%w: %w", errStale, err)
	}
	page := int64(binary.BigEndian.Uint16(header[16:]))
	if version := binary.BigEndian.Uint32(header[60:]); version != schemaVersion {
		return fmt.Errorf("%w: it is of version %d, and this is %d", errStale, version, schemaVersion)
	}
	if info.Size() < page*int64(binary.BigEndian.Uint32(header[28:])) {
		return fmt.Errorf("%w: it was cut", errStale)
	}
	return nil
}
