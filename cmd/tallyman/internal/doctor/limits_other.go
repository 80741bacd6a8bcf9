//go:build !unix

package doctor

// OpenFilesLimit is false: such systems have no limit that can be asked for.
func OpenFilesLimit() (uint64, bool) { return 0, false }
