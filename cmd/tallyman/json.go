package main

import (
	"encoding/json"
	"io"
)

// printJSON prints v on one line.
func printJSON(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) }

// writeJSON is printJSON to a writer that matters to nobody if it fails: the
// terminal is gone then, or a pipe closed.
func writeJSON(w io.Writer, v any) { _ = printJSON(w, v) }
