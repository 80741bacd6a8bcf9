//go:build unix

package doctor

import "syscall"

// OpenFilesLimit returns how many files this process may have open. It is false if the
// system can't say.
func OpenFilesLimit() (uint64, bool) {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0, false
	}
	return uint64(limit.Cur), true //nolint:unconvert // it is signed on some systems
}
