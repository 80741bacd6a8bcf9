package sandbox

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
)

// A row is a log line as the vendor exports it: every value is text.
type row struct {
	Time    string `json:"__time__"`
	Source  string `json:"__source__"`
	Level   string `json:"level"`
	TraceID string `json:"trace_id"`
	Message string `json:"message"`
}

var columns = []string{"__time__", "__source__", "level", "trace_id", "message"}

var formats = map[string]func(io.Writer, int, *rand.Rand){
	"csv":  generateCSV,
	"json": generateJSON,
}

// Generate returns so many rows of log as csv (below a header row) or json
// (an object a line). The same seed gives the same bytes. Every message of a
// CSV holds a comma, and one in sixteen a newline, so rows are not lines. It
// panics on any other format.
func Generate(rows int, format string, seed uint64) []byte {
	generate, ok := formats[format]
	if !ok {
		panic("sandbox: no format " + format)
	}
	var b bytes.Buffer
	generate(&b, rows, rand.New(rand.NewPCG(seed, 1)))
	return b.Bytes()
}

func generateCSV(w io.Writer, rows int, r *rand.Rand) {
	out := csv.NewWriter(w)
	out.Write(columns)
	for i := range rows {
		l := newRow(i, r)
		if i%16 == 7 {
			l.Message += "\nretried: \"yes\""
		}
		out.Write([]string{l.Time, l.Source, l.Level, l.TraceID, l.Message})
	}
	out.Flush()
}

func generateJSON(w io.Writer, rows int, r *rand.Rand) {
	out := json.NewEncoder(w)
	for i := range rows {
		out.Encode(newRow(i, r))
	}
}

// firstTime is 2026-01-02T03:04:05Z; ten rows a second from there.
const firstTime = 1767323045

var levels = []string{"INFO", "INFO", "INFO", "INFO", "WARN", "ERROR"}

func newRow(i int, r *rand.Rand) row {
	return row{
		Time:    strconv.Itoa(firstTime + i/10),
		Source:  fmt.Sprintf("10.%d.%d.%d", r.IntN(4), r.IntN(16), 1+r.IntN(250)),
		Level:   levels[r.IntN(len(levels))],
		TraceID: fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64()),
		Message: fmt.Sprintf("GET /orders/%d, %d bytes in %d ms", r.IntN(1e6), r.IntN(1<<16), 1+r.IntN(900)),
	}
}
