package decode

import (
	"archive/zip"
	"bytes"
	"cmp"
	stdgzip "compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"tallyman/fetch/internal/unpack"
)

const (
	compressModule = "github.com/klauspost/compress"
	lz4Module      = "github.com/pierrec/lz4/v4"
)

// skipWithout ends a test whose corpus is not installed. If TALLYMAN_REQUIRE
// lists corpora, the test fails.
func skipWithout(t testing.TB, why ...any) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("TALLYMAN_REQUIRE"), ","), "corpora") {
		t.Fatal(append([]any{"TALLYMAN_REQUIRE lists corpora: "}, why...)...)
	}
	t.Skip(append([]any{"a corpus is not here: "}, why...)...)
}

// goCommand returns the output of the go command.
func goCommand(t testing.TB, arguments ...string) string {
	t.Helper()
	out, err := exec.Command("go", arguments...).Output()
	if err != nil || len(bytes.TrimSpace(out)) == 0 {
		skipWithout(t, "go ", strings.Join(arguments, " "), ": ", err)
	}
	return string(bytes.TrimSpace(out))
}

// testdataOf returns a path within a module in the module cache.
func testdataOf(t testing.TB, module, path string) string {
	t.Helper()
	path = filepath.Join(goCommand(t, "list", "-m", "-f", "{{.Dir}}", module), filepath.FromSlash(path))
	if _, err := os.Stat(path); err != nil {
		skipWithout(t, err)
	}
	return path
}

// entriesOf returns the files of a zip, by name.
func entriesOf(t testing.TB, path string) map[string][]byte {
	t.Helper()
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	all := map[string][]byte{}
	for _, f := range z.File {
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if all[f.Name], err = io.ReadAll(in); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// eighth returns every eighth file in a short run, which has the race detector: the
// same goroutines decode all of them.
func eighth(all map[string][]byte) map[string][]byte {
	if !testing.Short() {
		return all
	}
	some := map[string][]byte{}
	for i, name := range slices.Sorted(maps.Keys(all)) {
		if i%8 == 0 {
			some[name] = all[name]
		}
	}
	return some
}

// isRefused reports whether err says that the object can't be decoded.
func isRefused(err error) bool { return errors.Is(err, ErrCorrupt) || errors.Is(err, unpack.ErrBomb) }

func isMislabelled(err error) bool {
	_, ok := errors.AsType[*MislabelledError](err)
	return ok && errors.Is(err, ErrCorrupt)
}

// decodePlainly decodes zstd with the decoder of the library, without our checks.
func decodePlainly(t *testing.T, encoded []byte) []byte {
	t.Helper()
	d, err := zstd.NewReader(bytes.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	content, err := io.ReadAll(d)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestGoodZstdFilesDecodeAsByThePlainDecoder(t *testing.T) {
	if testing.Short() {
		t.Skip("one file after another")
	}
	for set, files := range map[string]int{"good": 12, "decoder": 94, "large": 2, "benchdecoder": 12} {
		all := entriesOf(t, testdataOf(t, compressModule, "zstd/testdata/"+set+".zip"))
		seen := 0
		for name, encoded := range all {
			if filepath.Ext(name) != ".zst" {
				continue
			}
			seen++
			want, stated := all[strings.TrimSuffix(name, ".zst")]
			if plain := decodePlainly(t, encoded); !stated {
				want = plain
			} else if !bytes.Equal(plain, want) {
				t.Errorf("%s: the plain decoder makes something else of %s", set, name)
			}
			if d, got, err := decodeAs(name, encoded); err != nil || d.codec != "zstd" || !bytes.Equal(got, want) {
				t.Errorf("%s: %s: %d bytes of %d, codec %q, %v", set, name, len(got), len(want), d.codec, err)
			}
		}
		if seen != files {
			t.Errorf("%s: %d files, want %d", set, seen, files)
		}
	}
}

func TestBadZstdFilesAreRefused(t *testing.T) {
	bad := entriesOf(t, testdataOf(t, compressModule, "zstd/testdata/bad.zip"))
	if len(bad) != 44 {
		t.Errorf("%d files, want 44", len(bad))
	}
	for name, encoded := range bad {
		if err := asZstd(encoded); !isRefused(err) {
			t.Errorf("%s as zstd: %v", name, err)
		}
		if _, _, err := decodeAs(name, encoded); filepath.Ext(name) == ".zst" && !isRefused(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// asZstd decodes bytes as zstd, whatever they begin with.
func asZstd(encoded []byte) error {
	d := &decoding{wire: io.NopCloser(nil)}
	d.Target = Target{Names: Names{Object: "a", Base: "a"}, Size: int64(len(encoded)), Workers: 1, Output: &file{}, Recover: recoverPanic}
	if err := d.decodeStream(context.Background(), &formats[0], bytes.NewReader(encoded)); err != nil {
		return classify(err)
	}
	return nil
}

// None of these files begins like zstd, and most are text. With the name of a
// zstd file, each is refused.
func TestFilesThatCrashedAnEncoderAreNoZstd(t *testing.T) {
	if testing.Short() {
		t.Skip("one file after another")
	}
	crashers := entriesOf(t, testdataOf(t, compressModule, "zstd/testdata/comp-crashers.zip"))
	if len(crashers) != 1657 {
		t.Errorf("%d files, want 1657", len(crashers))
	}
	for name, encoded := range eighth(crashers) {
		if err := asZstd(encoded); !isRefused(err) {
			t.Errorf("%s as zstd: %v", name, err)
		}
		if _, _, err := decodeAs(name+".zst", encoded); !isMislabelled(err) {
			t.Errorf("%s.zst: %v", name, err)
		}
	}
}

// Files that were found by fuzzing the decoder are refused, or decode to the same
// as by the plain decoder.
func TestZstdFilesFoundByFuzzingAreRefusedOrDecodeAsByThePlainDecoder(t *testing.T) {
	if testing.Short() {
		t.Skip("one file after another")
	}
	for _, set := range []string{"regression", "decode-regression", "fuzz/decode-corpus-raw"} {
		all := entriesOf(t, testdataOf(t, compressModule, "zstd/testdata/"+set+".zip"))
		for name, encoded := range eighth(all) {
			d, got, err := decodeAs(name, encoded)
			switch {
			case err != nil && !isRefused(err):
				t.Errorf("%s: %s: %v", set, name, err)
			case err == nil && d.codec == "zstd" && !bytes.Equal(got, decodePlainly(t, encoded)):
				t.Errorf("%s: %s decodes to something else", set, name)
			case err == nil && d.codec == "" && !bytes.Equal(got, encoded):
				t.Errorf("%s: %s is not as it was", set, name)
			}
		}
	}
}

// A codecVerdict is what decoding a file must say.
type codecVerdict struct {
	codec   string // the codec that it decodes with
	checked bool
	like    string // another file with the same content
	says    string // part of the error with which it is refused
	kind    error  // of the error; nil: ErrCorrupt
}

// lz4Verdicts has the verdict on each test file of the lz4 decoder. Files in the
// old format, which has no magic of frames, are refused.
var lz4Verdicts = map[string]codecVerdict{
	"Mark.Twain-Tom.Sawyer.txt.lz4":        {codec: "lz4", checked: true, like: "Mark.Twain-Tom.Sawyer.txt.gz"},
	"Mark.Twain-Tom.Sawyer_legacy.txt.lz4": {says: "the old format of lz4"},
	"Mark.Twain-Tom.Sawyer_linked.txt.lz4": {codec: "lz4", checked: true},
	"Mark.Twain-Tom.Sawyer_long.txt.lz4":   {codec: "lz4", checked: true, like: "Mark.Twain-Tom.Sawyer_long.txt.gz"},
	"e.txt.lz4":                            {codec: "lz4", checked: true, like: "e.txt.gz"},
	"gettysburg.txt.lz4":                   {codec: "lz4", checked: true, like: "gettysburg.txt.gz"},
	"malformed.block.lz4":                  {says: "invalid block checksum"},
	"pg1661.txt.lz4":                       {codec: "lz4", checked: true, like: "pg1661.txt.gz"},
	"pg_control.tar.lz4":                   {says: `"/global/pg_control": name is absolute`, kind: unpack.ErrUnsafeName},
	"pi.txt.lz4":                           {codec: "lz4", checked: true, like: "pi.txt.gz"},
	"random.data.lz4":                      {codec: "lz4", checked: true, like: "random.data.gz"},
	"random_appended.data.lz4":             {codec: "lz4", checked: true},
	"repeat.txt.lz4":                       {codec: "lz4", checked: true, like: "repeat.txt.gz"},
	"vmlinux_LZ4_19377.lz4":                {says: "the old format of lz4"},
}

func TestEachTestFileOfTheLZ4DecoderHasItsVerdict(t *testing.T) {
	dir := testdataOf(t, lz4Module, "testdata")
	for name, encoded := range eighth(filesOf(t, dir, ".lz4")) {
		want, stated := lz4Verdicts[name]
		if !stated {
			t.Errorf("%s: no verdict is stated", name)
		}
		checkVerdict(t, name, encoded, want)
		if want.like == "" {
			continue
		}
		packed, err := os.ReadFile(filepath.Join(dir, want.like))
		if err != nil {
			t.Fatal(err)
		}
		_, got, _ := decodeAs(name, encoded)
		if _, like, err := decodeAs(want.like, packed); err != nil || !bytes.Equal(got, like) {
			t.Errorf("%s has %d bytes, %s %d, %v", name, len(got), want.like, len(like), err)
		}
	}
}

func TestGzipFilesDecodeAsByTheStandardLibrary(t *testing.T) {
	for name, encoded := range eighth(filesOf(t, testdataOf(t, lz4Module, "testdata"), ".gz")) {
		r, err := stdgzip.NewReader(bytes.NewReader(encoded))
		if err != nil {
			t.Fatal(err)
		}
		want, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(name, ".tar.") {
			checkVerdict(t, name, encoded, codecVerdict{says: "name is absolute", kind: unpack.ErrUnsafeName})
			continue
		}
		d, got, err := decodeAs(name, encoded)
		if err != nil || d != (outcome{"gzip", true}) || !bytes.Equal(got, want) {
			t.Errorf("%s: %+v, %d bytes of %d, %v", name, d, len(got), len(want), err)
		}
	}
	text, err := os.ReadFile(filepath.Join(goCommand(t, "env", "GOROOT"), "src/compress/gzip/testdata/issue6550.gz.base64"))
	if err != nil {
		skipWithout(t, err)
	}
	broken, err := base64.StdEncoding.DecodeString(string(text))
	if err != nil {
		t.Fatal(err)
	}
	checkVerdict(t, "issue6550.gz", broken, codecVerdict{says: "corrupt"})
}

func checkVerdict(t *testing.T, name string, encoded []byte, want codecVerdict) {
	t.Helper()
	d, _, err := decodeAs(name, encoded)
	codec, _, _ := strings.Cut(d.codec, "+")
	switch {
	case want.says != "":
		if !errors.Is(err, cmp.Or(want.kind, ErrCorrupt)) || !strings.Contains(err.Error(), want.says) {
			t.Errorf("%s: %v, want %q", name, err, want.says)
		}
	case err != nil || codec != want.codec || d.checked != want.checked:
		t.Errorf("%s: %+v, %v, want %+v", name, d, err, want)
	}
}

// filesOf returns the files of a directory whose names end in suffix, by name.
func filesOf(t *testing.T, dir, suffix string) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if err != nil || len(paths) == 0 {
		skipWithout(t, dir, ": ", err)
	}
	all := map[string][]byte{}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(path)] = b
	}
	return all
}
