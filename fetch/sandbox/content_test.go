package sandbox

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

func decompress(t *testing.T, codec, wire string) string {
	t.Helper()
	readers := map[string]func(io.Reader) (io.Reader, error){
		"none": func(r io.Reader) (io.Reader, error) { return r, nil },
		"zstd": func(r io.Reader) (io.Reader, error) { return zstd.NewReader(r) },
		"gzip": func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
		"lz4":  func(r io.Reader) (io.Reader, error) { return lz4.NewReader(r), nil },
	}
	r, err := readers[codec](strings.NewReader(wire))
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(codec, err)
	}
	return string(content)
}

func countCSV(t *testing.T, content string) int {
	rows, err := csv.NewReader(strings.NewReader(content)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return len(rows) - 1
}

func countJSON(t *testing.T, content string) int {
	n := 0
	for d := json.NewDecoder(strings.NewReader(content)); ; n++ {
		var l row
		if err := d.Decode(&l); err == io.EOF {
			return n
		} else if err != nil || l.TraceID == "" {
			t.Fatal(err, l)
		}
	}
}

func TestFilesDecodeToTheirRows(t *testing.T) {
	count := map[string]func(*testing.T, string) int{"csv": countCSV, "json": countJSON}
	for format := range formats {
		for codec := range codecs {
			for _, rows := range []int{0, 1, 1000} {
				_, base := startCloud(t, Job{Name: "job-1", File: File{Rows: rows, Format: format, Codec: codec, Seed: 7}})
				d := getJob(t, base, "job-1")
				wire := fetch(t, "GET", d.Details.FilePath).body
				content := decompress(t, codec, wire)
				if got := count[format](t, content); got != rows || *d.Details.LogCount != int64(rows) || *d.Details.FileSize != int64(len(wire)) {
					t.Errorf("%s %s: %d rows of %d, %+v", format, codec, got, rows, d.Details)
				}
			}
		}
	}
}

func TestRowsOfCSVAreNotLines(t *testing.T) {
	content := Generate(100, "csv", 1)
	if lines := bytes.Count(content, []byte("\n")); lines != 101+6 {
		t.Errorf("%d lines", lines)
	}
	if !bytes.Contains(content, []byte(`""yes""`)) || !bytes.Contains(content, []byte(`, `)) {
		t.Error("no row has quotes within quotes, or no comma")
	}
}

func TestSameSeedGivesTheSameBytes(t *testing.T) {
	for format := range formats {
		if !bytes.Equal(Generate(50, format, 1), Generate(50, format, 1)) || bytes.Equal(Generate(50, format, 1), Generate(50, format, 2)) {
			t.Errorf("%s: one seed gave other bytes, or two seeds the same", format)
		}
	}
}

// A flip anywhere in the compressed content is found by the codec alone.
func TestCodecsCarryAChecksum(t *testing.T) {
	wire := Compress("lz4", []byte(digits))
	if wire[4]&0x04 == 0 {
		t.Error("lz4: no content checksum")
	}
	wire = Compress("zstd", []byte(digits))
	if wire[4]&0x04 == 0 {
		t.Error("zstd: no content checksum")
	}
}
