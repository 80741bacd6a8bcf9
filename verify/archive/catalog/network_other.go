//go:build !linux

package catalog

// isNetwork reports whether a directory is on a network file system, which other systems
// than Linux are not asked.
func isNetwork(string) bool { return false }
