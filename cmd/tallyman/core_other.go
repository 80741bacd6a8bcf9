//go:build !unix

package main

// noCore is for where memory is not dumped into a file.
func noCore() {}
