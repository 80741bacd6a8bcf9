package fetch

import (
	"archive/zip"
	"bytes"
	"cmp"
	stdgzip "compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

const (
	compressModule = "github.com/klauspost/compress"
	lz4Module      = "github.com/pierrec/lz4/v4"
)

// lacks ends a test whose corpus is not here.
func lacks(t testing.TB, why ...any) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("TALLYMAN_REQUIRE"), ","), "corpora") {
		t.Fatal(append([]any{"TALLYMAN_REQUIRE lists corpora: "}, why...)...)
	}
	t.Skip(append([]any{"a corpus is not here: "}, why...)...)
}

// said is what the go command says.
func said(t testing.TB, arguments ...string) string {
	t.Helper()
	out, err := exec.Command("go", arguments...).Output()
	if err != nil || len(bytes.TrimSpace(out)) == 0 {
		lacks(t, "go ", strings.Join(arguments, " "), ": ", err)
	}
	return string(bytes.TrimSpace(out))
}

// testdataOf is a path in what a module is tested with, from the module cache.
func testdataOf(t testing.TB, module, path string) string {
	t.Helper()
	path = filepath.Join(said(t, "list", "-m", "-f", "{{.Dir}}", module), filepath.FromSlash(path))
	if _, err := os.Stat(path); err != nil {
		lacks(t, err)
	}
	return path
}

// entriesOf are the files of a zip, by name.
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

// decodeAs decodes an object of that name.
func decodeAs(name string, encoded []byte) (decoded, []byte, error) {
	s := &sheet{}
	d, err := decode(bytes.NewReader(encoded), named{Object: Object{Name: name}, base: name}, s.create)
	return d, s.Bytes(), err
}

// refusedAs reports whether err says that the object is of no use.
func refusedAs(err error) bool { return errors.Is(err, ErrCorrupt) || errors.Is(err, ErrBomb) }

// plainly decodes zstd with the decoder as it comes.
func plainly(t *testing.T, encoded []byte) []byte {
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

func TestGoodZstdFilesDecodeAsThePlainDecoderDoes(t *testing.T) {
	for set, files := range map[string]int{"good": 12, "decoder": 94, "large": 2, "benchdecoder": 12} {
		all := entriesOf(t, testdataOf(t, compressModule, "zstd/testdata/"+set+".zip"))
		seen := 0
		for name, encoded := range all {
			if filepath.Ext(name) != ".zst" {
				continue
			}
			seen++
			want, stated := all[strings.TrimSuffix(name, ".zst")]
			if plain := plainly(t, encoded); !stated {
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
		if err := asZstd(encoded); !refusedAs(err) {
			t.Errorf("%s as zstd: %v", name, err)
		}
		if _, _, err := decodeAs(name, encoded); filepath.Ext(name) == ".zst" && !refusedAs(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// asZstd is what the decoder of zstd says of encoded bytes, whatever they
// begin with.
func asZstd(encoded []byte) error {
	d := &decoding{object: named{Object: Object{Name: "a"}, base: "a"}, size: int64(len(encoded)), stop: func() {}, workers: 1}
	d.create = (&sheet{}).create
	if err := formats[0].decode(context.Background(), d, bytes.NewReader(encoded)); err != nil {
		return judge(err)
	}
	return nil
}

// None of them begins as zstd does, though most are text: under a name of zstd
// each is refused.
func TestWhatCrashedAnEncoderIsNoZstd(t *testing.T) {
	crashers := entriesOf(t, testdataOf(t, compressModule, "zstd/testdata/comp-crashers.zip"))
	if len(crashers) != 1657 {
		t.Errorf("%d files, want 1657", len(crashers))
	}
	for name, encoded := range crashers {
		if err := asZstd(encoded); !refusedAs(err) {
			t.Errorf("%s as zstd: %v", name, err)
		}
		if _, _, err := decodeAs(name+".zst", encoded); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "--keep wire") {
			t.Errorf("%s.zst: %v", name, err)
		}
	}
}

// What is found by fuzzing a decoder is refused, or decodes to what the plain
// decoder makes of it.
func TestZstdFilesFoundByFuzzingAreRefusedOrDecodeAlike(t *testing.T) {
	for _, set := range []string{"regression", "decode-regression", "fuzz/decode-corpus-raw"} {
		all := entriesOf(t, testdataOf(t, compressModule, "zstd/testdata/"+set+".zip"))
		for name, encoded := range all {
			d, got, err := decodeAs(name, encoded)
			switch {
			case err != nil && !refusedAs(err):
				t.Errorf("%s: %s: %v", set, name, err)
			case err == nil && d.codec == "zstd" && !bytes.Equal(got, plainly(t, encoded)):
				t.Errorf("%s: %s decodes to something else", set, name)
			case err == nil && d.codec == "" && !bytes.Equal(got, encoded):
				t.Errorf("%s: %s is not as it was", set, name)
			}
		}
	}
}

// A codecVerdict is what we say of a file.
type codecVerdict struct {
	codec  string // it decodes, to what that decoder makes of it
	summed bool
	like   string // another file that has the same content
	says   string // it is refused
	kind   error  // as that; nil: ErrCorrupt
}

// lz4Verdicts are of each file that the decoder of lz4 is tested with. Of the
// old format without a magic of frames, none is an export.
var lz4Verdicts = map[string]codecVerdict{
	"Mark.Twain-Tom.Sawyer.txt.lz4":        {codec: "lz4", summed: true, like: "Mark.Twain-Tom.Sawyer.txt.gz"},
	"Mark.Twain-Tom.Sawyer_legacy.txt.lz4": {says: "neither so nor as text"},
	"Mark.Twain-Tom.Sawyer_linked.txt.lz4": {codec: "lz4", summed: true},
	"Mark.Twain-Tom.Sawyer_long.txt.lz4":   {codec: "lz4", summed: true, like: "Mark.Twain-Tom.Sawyer_long.txt.gz"},
	"e.txt.lz4":                            {codec: "lz4", summed: true, like: "e.txt.gz"},
	"gettysburg.txt.lz4":                   {codec: "lz4", summed: true, like: "gettysburg.txt.gz"},
	"malformed.block.lz4":                  {says: "invalid block checksum"},
	"pg1661.txt.lz4":                       {codec: "lz4", summed: true, like: "pg1661.txt.gz"},
	"pg_control.tar.lz4":                   {says: `"/global/pg_control": name is absolute`, kind: ErrUnsafeName},
	"pi.txt.lz4":                           {codec: "lz4", summed: true, like: "pi.txt.gz"},
	"random.data.lz4":                      {codec: "lz4", summed: true, like: "random.data.gz"},
	"random_appended.data.lz4":             {codec: "lz4", summed: true},
	"repeat.txt.lz4":                       {codec: "lz4", summed: true, like: "repeat.txt.gz"},
	"vmlinux_LZ4_19377.lz4":                {says: "neither so nor as text"},
}

func TestTheLZ4DecodersFilesGetTheStatedVerdict(t *testing.T) {
	dir := testdataOf(t, lz4Module, "testdata")
	for name, encoded := range filesOf(t, dir, ".lz4") {
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

func TestGzipFilesDecodeAsGosOwnDecoderDoes(t *testing.T) {
	for name, encoded := range filesOf(t, testdataOf(t, lz4Module, "testdata"), ".gz") {
		r, err := stdgzip.NewReader(bytes.NewReader(encoded))
		if err != nil {
			t.Fatal(err)
		}
		want, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(name, ".tar.") {
			checkVerdict(t, name, encoded, codecVerdict{says: "name is absolute", kind: ErrUnsafeName})
			continue
		}
		d, got, err := decodeAs(name, encoded)
		if err != nil || d != (decoded{"gzip", true}) || !bytes.Equal(got, want) {
			t.Errorf("%s: %+v, %d bytes of %d, %v", name, d, len(got), len(want), err)
		}
	}
	text, err := os.ReadFile(filepath.Join(said(t, "env", "GOROOT"), "src/compress/gzip/testdata/issue6550.gz.base64"))
	if err != nil {
		lacks(t, err)
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
	case err != nil || codec != want.codec || d.summed != want.summed:
		t.Errorf("%s: %+v, %v, want %+v", name, d, err, want)
	}
}

// filesOf are the files of a directory that end so.
func filesOf(t *testing.T, dir, suffix string) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if err != nil || len(paths) == 0 {
		lacks(t, dir, ": ", err)
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
