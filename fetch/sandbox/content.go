package sandbox

import (
	"archive/zip"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// A row is a log line as SLS exports it: every value is text.
type row struct {
	Time    string `json:"__time__"`
	Source  string `json:"__source__"`
	Level   string `json:"level"`
	TraceID string `json:"trace_id"`
	Message string `json:"message"`
}

// firstTime is 2026-01-02T03:04:05Z. There are ten rows a second from there.
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

var formats = map[string]func(io.Writer, iter.Seq2[int, row]){
	"csv": func(w io.Writer, rows iter.Seq2[int, row]) { writeCSV(w, retried(rows), nil, true) },
	"json": func(w io.Writer, rows iter.Seq2[int, row]) {
		out := json.NewEncoder(w)
		for _, l := range rows {
			out.Encode(l)
		}
	},
}

// fields are the columns of a CSV.
var fields = []string{"__time__", "__source__", "level", "trace_id", "message"}

// field is what a row has in a column.
func (r row) field(name string) string {
	switch name {
	case "__time__":
		return r.Time
	case "__source__":
		return r.Source
	case "level":
		return r.Level
	case "trace_id":
		return r.TraceID
	case "message":
		return r.Message
	}
	return ""
}

// writeCSV writes the columns of rows, of which nil are all.
func writeCSV(w io.Writer, rows iter.Seq2[int, row], columns []string, header bool) {
	if columns == nil {
		columns = fields
	}
	out := csv.NewWriter(w)
	if header {
		out.Write(columns)
	}
	values := make([]string, len(columns))
	for _, r := range rows {
		for i, name := range columns {
			values[i] = r.field(name)
		}
		out.Write(values)
	}
	out.Flush()
}

// retried gives one in sixteen rows a message of two lines.
func retried(rows iter.Seq2[int, row]) iter.Seq2[int, row] {
	return func(yield func(int, row) bool) {
		for i, r := range rows {
			if i%16 == 7 {
				r.Message += "\nretried: \"yes\""
			}
			if !yield(i, r) {
				return
			}
		}
	}
}

// Generate returns that many rows of a log as csv (below a header row) or json
// (one object a line). The same seed gives the same bytes. Every message of a
// CSV holds a comma, and one in sixteen a newline, so a row may be two lines.
// It panics on any other format.
func Generate(rows int, format string, seed uint64) []byte {
	generate, ok := formats[format]
	if !ok {
		panic("sandbox: no format " + format)
	}
	var b bytes.Buffer
	generate(&b, func(yield func(int, row) bool) {
		r := rand.New(rand.NewPCG(seed, 1))
		for i := range rows {
			if !yield(i, newRow(i, r)) {
				return
			}
		}
	})
	return b.Bytes()
}

// codecs are those that SLS names as compressionType (CreateDownloadJob), each
// with the extension that SLS gives the file.
var codecs = map[string]struct {
	extension string
	writer    func(io.Writer) io.WriteCloser // nil = the content as it is
}{
	"none": {},
	"zstd": {".zst", func(w io.Writer) io.WriteCloser {
		return must(zstd.NewWriter(w, zstd.WithEncoderCRC(true), zstd.WithEncoderConcurrency(1), zstd.WithZeroFrames(true)))
	}},
	"gzip": {".gzip", func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }},
	"lz4": {".lz4", func(w io.Writer) io.WriteCloser {
		z := lz4.NewWriter(w)
		if err := z.Apply(lz4.ChecksumOption(true)); err != nil {
			panic(err)
		}
		return z
	}},
}

// Compress returns content as codec (zstd, gzip, lz4, none) encodes it, with
// the codec's own checksum of the content. It panics on any other codec.
func Compress(codec string, content []byte) []byte {
	c, ok := codecs[codec]
	if !ok {
		panic("sandbox: no codec " + codec)
	}
	if c.writer == nil {
		return bytes.Clone(content)
	}
	var b bytes.Buffer
	w := c.writer(&b)
	w.Write(content)
	w.Close()
	return b.Bytes()
}

// A ZipEntry is a file in a zip.
type ZipEntry struct {
	Name    string
	Content []byte
}

// Zip returns a zip of those entries, in that order. The same entries give the
// same bytes. Names are not checked, so that a test can make a hostile zip.
func Zip(entries ...ZipEntry) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, e := range entries {
		w := must(z.CreateHeader(&zip.FileHeader{Name: e.Name, Method: zip.Deflate, Modified: time.Unix(firstTime, 0).UTC()}))
		must(w.Write(e.Content))
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
