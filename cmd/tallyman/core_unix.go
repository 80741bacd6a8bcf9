//go:build unix

package main

import "syscall"

// noCore asks for no dump of the memory, keys and all, should the process come
// to a bad end. Whoever wants one can still raise the limit of a process that
// runs.
func noCore() {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_CORE, &limit) == nil {
		limit.Cur = 0
		_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &limit) // nothing is lost without it
	}
}
