package archive

import (
	"cmp"
	"math"

	"golang.org/x/sys/unix"

	"tallyman/verify"
)

// spaceIn is what is left of the file system of a directory.
func spaceIn(dir string) (space, bool) {
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) != nil {
		return space{}, false
	}
	block := uint64(cmp.Or(s.Frsize, s.Bsize))
	files := int64(verify.Unknown)
	if s.Files > 0 { // some file systems make room for files as they come
		files = int64(min(s.Ffree, math.MaxInt64))
	}
	return space{bytesOf(s.Blocks, block), bytesOf(s.Bavail, block), files, int(s.Namelen)}, s.Blocks > 0
}

// bytesOf is as much as an int64 holds: some file systems have no end.
func bytesOf(blocks, size uint64) int64 {
	if size == 0 || blocks > math.MaxInt64/2/size {
		return math.MaxInt64 / 2
	}
	return int64(blocks * size)
}
