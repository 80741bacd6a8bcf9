package archive

import (
	"cmp"
	"math"
	"os"

	"golang.org/x/sys/unix"

	"tallyman/verify"
)

// measureDisk returns what is left of the file system of a directory.
func measureDisk(dir string) (diskSpace, bool) {
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) != nil {
		return diskSpace{}, false
	}
	bytes := func(blocks uint64) int64 { // some file systems say that they have no end
		block := uint64(cmp.Or(s.Frsize, s.Bsize))
		if block == 0 || blocks > math.MaxInt64/2/block {
			return math.MaxInt64 / 2
		}
		return int64(blocks * block)
	}
	files := int64(verify.Unknown)
	if s.Files > 0 { // some file systems make room for files as they come
		files = int64(min(s.Ffree, math.MaxInt64))
	}
	return diskSpace{bytes(s.Blocks), bytes(s.Bavail), files, int(s.Namelen)}, s.Blocks > 0
}

// startWriteBack asks the system to start writing bytes of a file to the disk,
// and does not wait. An error is of no use here: the sync in the end finds it.
func startWriteBack(f *os.File, off, n int64) {
	_ = unix.SyncFileRange(int(f.Fd()), off, n, unix.SYNC_FILE_RANGE_WRITE)
}
