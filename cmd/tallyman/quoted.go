package main

import "strings"

// quoted is a reference as a shell reads it: in quotes, if some of it would
// mean something else.
func quoted(ref string) string {
	if !strings.ContainsAny(ref, " \t\"'`$&|;<>()[]{}*?#~!\\") {
		return ref
	}
	return "'" + strings.ReplaceAll(ref, "'", `'\''`) + "'"
}
