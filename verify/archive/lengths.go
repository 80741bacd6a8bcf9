package archive

import (
	"fmt"
	"path/filepath"
	"strings"
)

// longestPath is how many bytes the path of a file may have, its end among
// them, for a program on Linux to open it.
const longestPath = 4096

// CheckName fails with ErrName if the bag can hold no file of that name: it, or an
// element of it, is longer than the file system takes. It is asked before
// anything is received.
func (in *Ingest) CheckName(name string) error {
	in.asked.Do(func() { in.longest = in.archive.longest() })
	if len(name) > longestName {
		return fmt.Errorf("%w: %.100q… has %d bytes, and %d may be", ErrName, name, len(name), longestName)
	}
	for _, path := range []string{in.path("bag", dataDir, name), filepath.Join(in.archive.Path(in.key), dataDir, name)} {
		if err := fits(path, name, in.longest); err != nil {
			return err
		}
	}
	return nil
}

// longest is how many bytes a file's name may have in the archive.
func (a *Archive) longest() int {
	if s, ok := a.space(); ok && s.longest > 0 {
		return s.longest
	}
	return 255
}

// fits holds a path, and the elements of a name in it, to what they may have.
func fits(path, name string, longest int) error {
	if len(path) >= longestPath {
		return fmt.Errorf("%w: %.100q… would have a path of %d bytes, and %d may be: put the archive where its own is shorter",
			ErrName, name, len(path), longestPath-1)
	}
	for element := range strings.SplitSeq(name, "/") {
		if len(element) > longest {
			return fmt.Errorf("%w: %.100q… has %d bytes, and the file system takes %d", ErrName, element, len(element), longest)
		}
	}
	return nil
}

// tooLong is ErrName for what the system says of a path. It is no failure of
// the disk, and would come again.
func tooLong(err error) error { return fmt.Errorf("%w: %s", ErrName, err.Error()) }
