//go:build !unix

package main

// disableCoreDumps does nothing on systems without core dumps.
func disableCoreDumps() {}
