package archive

import (
	"os"

	"golang.org/x/sys/unix"
)

// startWriteBack begins to write dirty bytes of a file to the disk and does
// not wait. It is a hint: what comes of it, the fsync in the end tells.
func startWriteBack(f *os.File, off, n int64) {
	_ = unix.SyncFileRange(int(f.Fd()), off, n, unix.SYNC_FILE_RANGE_WRITE)
}
