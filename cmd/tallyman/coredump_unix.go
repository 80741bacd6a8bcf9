//go:build unix

package main

import "syscall"

// disableCoreDumps keeps the system from writing the memory of the process,
// with its keys, into a file when it crashes. Only the soft limit is lowered,
// so it can be raised again for a running process.
func disableCoreDumps() {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_CORE, &limit) == nil {
		limit.Cur = 0
		_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &limit) // if it fails, the process runs as well
	}
}
