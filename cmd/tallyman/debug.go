package main

import (
	"os"
	"slices"
	"strings"
)

// telltales are the words in DEBUG at which the vendor's libraries print the
// headers that they send to stdout, keys and tokens among them. They read it
// before main begins, so it can't be taken back.
var telltales = []string{"dara", "tea", "sdk", "signer", "credential"}

// checkDebug refuses to run where that would be.
func checkDebug() error {
	for _, word := range strings.Split(os.Getenv("DEBUG"), ",") {
		if slices.Contains(telltales, word) {
			return usagef("DEBUG=%s would print credentials: unset DEBUG", word)
		}
	}
	return nil
}
