package sandbox

import (
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"

	"tallyman/fetch/sandbox/internal/apierr"
)

// writeErrorHeader counts an error and writes all of its answer but the body.
func (c *Cloud) writeErrorHeader(w http.ResponseWriter, e *apierr.Error, contentType string) {
	c.count(func(n *Counts) { n.Refused[e.Code]++ })
	w.Header().Set("Content-Type", contentType)
	for name, value := range e.Headers {
		w.Header().Set(name, value)
	}
	w.WriteHeader(e.Status)
}

// writeJSON does not escape the & of a URL.
func writeJSON(w io.Writer, v any) {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.Encode(v)
}

// requestID is one of SLS and of the stores.
func requestID() string { return rand.Text()[:24] }
