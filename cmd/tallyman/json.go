package main

import (
	"encoding/json"
	"io"
)

// writeJSON prints v on one line. A writer that fails is the terminal gone,
// or a pipe closed: there is nobody to tell.
func writeJSON(w io.Writer, v any) {
	_ = json.NewEncoder(w).Encode(v)
}
