package main

import (
	"fmt"
	"io"

	"tallyman/verify"
	"tallyman/verify/archive"
)

// prove prints each promise and what became of it.
func prove(w io.Writer, receipt *archive.Receipt) {
	for _, object := range receipt.Objects {
		for _, check := range object.Checks {
			showCheck(w, check)
		}
		if object.Proof != "" {
			fmt.Fprintf(w, "   proof    %s of %s\n", object.Proof, object.Name)
		}
	}
	for _, check := range receipt.Checks {
		showCheck(w, check)
	}
}

func showCheck(w io.Writer, c verify.Check) {
	got := ""
	if c.Got != "" {
		got = ", got " + c.Got
	}
	fmt.Fprintf(w, "   %-8s promised %s%s: %s\n", c.Check, c.Want, got, c.Verdict)
}
