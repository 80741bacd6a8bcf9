package durable

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"tallyman/verify"
)

// MeasureSpace returns what is left of the file system of a directory.
func MeasureSpace(dir string) (Space, bool) {
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) != nil {
		return Space{}, false
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
	return Space{bytes(s.Blocks), bytes(s.Bavail), files, int(s.Namelen)}, s.Blocks > 0
}

// StartWriteBack asks the system to start writing bytes of a file to the disk,
// and does not wait. An error is of no use here: the sync in the end finds it.
func StartWriteBack(f *os.File, off, n int64) {
	_ = unix.SyncFileRange(int(f.Fd()), off, n, unix.SYNC_FILE_RANGE_WRITE)
}

// wholeSyncTypes are the file systems whose syncfs tells of bytes that are lost, on
// Linux since 5.8.
var wholeSyncTypes = []uint32{unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC}

// OpenWhole opens the directory by which SyncWhole syncs its file system. It returns
// nil if that would not tell of each byte that is lost.
func OpenWhole(dir string) *os.File {
	var s unix.Statfs_t
	var u unix.Utsname
	var major, minor int
	if unix.Statfs(dir, &s) != nil || !slices.Contains(wholeSyncTypes, uint32(s.Type)) || unix.Uname(&u) != nil {
		return nil
	}
	n, _ := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor)
	if n != 2 || major < 5 || major == 5 && minor < 8 {
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return nil
	}
	return f
}

// SyncWhole makes all durable that was written to the file system. It fails if any of
// that was lost since the directory was opened, or since the last call.
func SyncWhole(dir *os.File) error {
	return os.NewSyscallError("syncfs", unix.Syncfs(int(dir.Fd())))
}
