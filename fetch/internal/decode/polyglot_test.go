package decode

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
)

// zipOf returns a zip of one file, which is stored as it is.
func zipOf(t *testing.T, content string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.CreateHeader(&zip.FileHeader{Name: "a.csv", Method: zip.Store})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(second(io.WriteString(f, content)), w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func second(_ int, err error) error { return err }

// gzipWith returns a gzip whose header has an extra field, or which stores its
// content as it is.
func gzipWith(t *testing.T, content, extra []byte, level int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	w.Extra = extra
	if err := errors.Join(second(w.Write(content)), w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// skippableFrame returns a skippable frame of zstd and lz4 that holds content.
func skippableFrame(content []byte) []byte {
	return append(skippable(len(content))[:8], content...)
}

func tarOf(t *testing.T, name string, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(content)), Mode: 0o644, Format: tar.FormatUSTAR})
	if err := errors.Join(err, second(w.Write(content)), w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// withoutRest makes what follows the last zip in b its comment.
func withoutRest(b []byte) []byte {
	b = bytes.Clone(b)
	end := bytes.LastIndex(b, []byte(zipEnd))
	binary.LittleEndian.PutUint16(b[end+20:], uint16(len(b)-end-22))
	return b
}

// A file that is a gzip to one reader and a zip to another is refused, and so is
// every other pair. A file that holds a zip as its content is not.
func TestAPolyglotIsRefused(t *testing.T) {
	rows, hidden := []byte("a,b\n1,2\n"), zipOf(t, "other rows")
	zstd, lz4 := encodeZstd(t, rows), encodeLZ4(t, rows)
	inExtra, tarred := gzipWith(t, rows, hidden, 6), tarOf(t, "x.zip", hidden)
	for _, c := range []struct {
		name    string
		object  []byte
		refused bool
	}{
		{"gzip with a zip in its header", inExtra, true},
		{"gzip with a zip in its header that ends with it", withoutRest(inExtra), true},
		{"gzip with a zip in its second header", slices.Concat(gzipWith(t, rows, nil, 6), inExtra), true},
		{"zstd behind a zip in a skippable frame", slices.Concat(skippableFrame(hidden), zstd), true},
		{"zstd before a zip in a skippable frame", slices.Concat(zstd, skippableFrame(hidden)), true},
		{"zstd before an empty zip in a skippable frame", slices.Concat(zstd, skippableFrame([]byte("PK\x05\x06"+strings.Repeat("\x00", 18)))), true},
		{"lz4 before a zip in a skippable frame", slices.Concat(lz4, skippableFrame(hidden)), true},
		{"tar that ends as a zip", withoutRest(tarred), true},
		{"gzip of a zip, as it is", gzipWith(t, hidden, nil, 0), false},
		{"zstd of a zip, as it is", encodeZstd(t, hidden), false},
		{"gzip of a tar of zips, as they are", gzipWith(t, tarred, nil, 0), false},
		{"tar of a zip", tarred, false},
		{"gzip that mentions a zip", gzipWith(t, rows, []byte("PK\x05\x06"+strings.Repeat("x", 30)), 6), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := decodeAs("x", c.object)
			if refused := errors.Is(err, ErrCorrupt) && strings.Contains(fmt.Sprint(err), "with two contents"); refused != c.refused || err != nil && !refused {
				t.Errorf("error %v, want refused: %v", err, c.refused)
			}
			target := Target{Names: Names{Object: "x", Base: "x"}, Size: int64(len(c.object)), Workers: 1, KeepWire: true, Recover: recoverPanic,
				Output: &file{wire: bytes.NewReader(c.object)}}
			if _, err := Run(t.Context(), io.NopCloser(bytes.NewReader(c.object)), target); err != nil {
				t.Errorf("though only the wire is kept: %v", err)
			}
		})
	}
}

func TestATarThatBeginsAsAZipIsRefused(t *testing.T) {
	_, _, err := decodeAs("x", tarOf(t, "PK\x03\x04", []byte("a,b\n1,2\n")))
	if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "a zip and a tar, with two contents") {
		t.Errorf("error %v", err)
	}
}

// A zip that is cut, or of which other parts lack, is refused under each suffix
// that says that it is one, and where no suffix says what it is.
func TestWhatBeginsAsAZipAndIsNoneIsRefused(t *testing.T) {
	sound := zipOf(t, "a,b\n")
	last := bytes.Clone(sound)
	last[len(last)-18] = 1 // the number of this disk
	for name, body := range map[string][]byte{"cut": sound[:len(sound)-1], "the last part": last, "with more behind": append(bytes.Clone(sound), 0, 1)} {
		for _, suffix := range []string{".zip", ".ZIPX", ".zip.001", ""} {
			if _, _, err := decodeAs("a"+suffix, body); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s, a%s: %v", name, suffix, err)
			}
		}
	}
}
