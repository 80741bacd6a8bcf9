package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"tallyman/fetch/fetchtest"
	"tallyman/fetch/sandbox"
	"tallyman/worker"
)

// A hostileFile is one that a store holds. An honest one must land; of others it
// may be known that they must be refused.
type hostileFile struct {
	name   string
	body   []byte
	honest bool

	refused bool
	cause   worker.Cause // if that is stated
}

// honestFiles are one of each kind, small enough that a change hits something.
func honestFiles(t *testing.T) (all []hostileFile) {
	rows := sandbox.Generate(40, "csv", 1)
	add := func(name string, body []byte) {
		all = append(all, hostileFile{name: name, body: body, honest: true})
	}
	tarred := packedTar(t, map[string][]byte{"a.csv": rows, "d/b.jsonl": []byte("{}\n{}\n")})
	for codec, suffix := range map[string]string{"zstd": ".zst", "gzip": ".gz", "lz4": ".lz4"} {
		add("rows.csv"+suffix, sandbox.Compress(codec, rows))
		add("two.csv"+suffix, append(sandbox.Compress(codec, rows[:500]), sandbox.Compress(codec, rows[500:])...))
		add("files.tar"+suffix, sandbox.Compress(codec, tarred))
	}
	add("unsummed.csv.zst", unsummedZstd(t, rows))
	add("files.tar", tarred)
	for _, method := range []uint16{zip.Store, zip.Deflate, zstd.ZipMethodWinZip} {
		add(fmt.Sprintf("files%d.zip", method), packedZip(t, method, map[string][]byte{"a.csv": rows, "d/b.jsonl": []byte("{}\n{}\n")}))
	}
	add("rows.csv", rows)
	slices.SortFunc(all, func(a, b hostileFile) int { return strings.Compare(a.name, b.name) }) // as no map is
	return all
}

func unsummedZstd(t *testing.T, content []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil, zstd.WithEncoderCRC(false))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll(content, nil)
}

func packedTar(t *testing.T, files map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, body := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(body)), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		w.Write(body)
	}
	w.Close()
	return b.Bytes()
}

func packedZip(t *testing.T, method uint16, files map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	w.RegisterCompressor(zstd.ZipMethodWinZip, zstd.ZipCompressor())
	for name, body := range files {
		f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: method})
		if err != nil {
			t.Fatal(err)
		}
		f.Write(body)
	}
	w.Close()
	return b.Bytes()
}

// A mutation makes something hostile of a file. The other is of another kind,
// mostly.
type mutation struct {
	name  string
	apply func(r *rand.Rand, b, other []byte) []byte
}

var mutations = []mutation{
	{"one bit", func(r *rand.Rand, b, _ []byte) []byte { return flipSome(r, b, 1) }},
	{"some bits", func(r *rand.Rand, b, _ []byte) []byte { return flipSome(r, b, 2+r.IntN(20)) }},
	{"cut", func(r *rand.Rand, b, _ []byte) []byte { return b[:r.IntN(len(b))] }},
	{"cut in front", func(r *rand.Rand, b, _ []byte) []byte { return b[r.IntN(len(b)):] }},
	{"bytes gone", func(r *rand.Rand, b, _ []byte) []byte {
		from, to := piece(r, b)
		return append(b[:from], b[to:]...)
	}},
	{"bytes twice", func(r *rand.Rand, b, _ []byte) []byte {
		from, to := piece(r, b)
		return slices.Insert(b, from, bytes.Clone(b[from:to])...)
	}},
	{"bytes zero", func(r *rand.Rand, b, _ []byte) []byte {
		from, to := piece(r, b)
		clear(b[from:to])
		return b
	}},
	{"splice", func(r *rand.Rand, b, other []byte) []byte {
		return append(b[:r.IntN(len(b))], other[r.IntN(len(other)):]...)
	}},
	{"joined", func(_ *rand.Rand, b, other []byte) []byte { return append(b, other...) }},
	{"trailing", func(r *rand.Rand, b, _ []byte) []byte {
		return append(b, [][]byte{{0}, make([]byte, 512), []byte("\n"), []byte("more")}[r.IntN(4)]...)
	}},
	{"head", func(r *rand.Rand, b, _ []byte) []byte { return renumber(r, b, 0, 64) }},
	{"tail", func(r *rand.Rand, b, _ []byte) []byte { return renumber(r, b, max(0, len(b)-150), len(b)) }},
	{"anywhere", func(r *rand.Rand, b, _ []byte) []byte { return renumber(r, b, 0, len(b)) }},
	{"other's head", func(r *rand.Rand, b, other []byte) []byte {
		copy(b, other[:min(len(other), 1+r.IntN(40))])
		return b
	}},
	{"called otherwise", func(_ *rand.Rand, _, other []byte) []byte { return other }},
}

func flipSome(r *rand.Rand, b []byte, n int) []byte {
	for range n {
		b[r.IntN(len(b))] ^= 1 << r.IntN(8)
	}
	return b
}

func piece(r *rand.Rand, b []byte) (from, to int) {
	from = r.IntN(len(b))
	return from, from + r.IntN(len(b)-from)
}

// renumber overwrites a number of a header by one that is seldom thought of.
func renumber(r *rand.Rand, b []byte, from, to int) []byte {
	values := []uint64{0, 1, 1<<7 - 1, 1 << 7, 1<<15 - 1, 1<<16 - 1, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 40, 1<<63 - 1, 1 << 63, 1<<64 - 1, r.Uint64()}
	n := binary.LittleEndian.AppendUint64(nil, values[r.IntN(len(values))])
	at := from + r.IntN(min(to, len(b))-from)
	copy(b[at:min(len(b), at+1<<r.IntN(4))], n)
	return b
}

// hostileNames are of entries that no bag may hold, or that are one with "a".
var hostileNames = []string{
	"../x", "/etc/x", "a/../../x", "..", "", ".", "./x", "x//y", `..\x`, `C:\x`, "C:x", "x:y", "~/.ssh/x", "x\x00", "...",
	"\xc0\xae\xc0\xae/x", "a", "a/x",
}

// hostilelyNamed are a zip and a tar for each name, and what links or is
// encrypted.
func hostilelyNamed(t *testing.T) (all []hostileFile) {
	add := func(i int, suffix string, body []byte, cause worker.Cause) {
		all = append(all, hostileFile{name: fmt.Sprintf("names-%d%s", i, suffix), body: body, refused: true, cause: cause})
	}
	for i, name := range hostileNames {
		add(i, ".zip", zippedAs(t, zip.FileHeader{Name: "a"}, zip.FileHeader{Name: name}), "unsafe-name")
		if !strings.Contains(name, "\x00") && name != "" && name != "./x" { // which a tar can't hold, or may
			add(i, ".tar", tarredAs(t, tar.Header{Name: "a"}, tar.Header{Name: name}), "unsafe-name")
		}
	}
	link := zip.FileHeader{Name: "b"}
	link.SetMode(0o777 | fs.ModeSymlink)
	add(0, "-link.zip", zippedAs(t, link), "unsafe-name")
	add(0, "-link.tar", tarredAs(t, tar.Header{Name: "b", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}), "unsafe-name")
	add(0, "-hardlink.tar", tarredAs(t, tar.Header{Name: "b", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}), "unsafe-name")
	add(0, "-encrypted.zip", zippedAs(t, zip.FileHeader{Name: "b", Flags: 1}), "encrypted")
	add(0, "-method.zip", zippedAs(t, zip.FileHeader{Name: "b", Method: 12}), "corrupt")
	return all
}

func zippedAs(t *testing.T, headers ...zip.FileHeader) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, h := range headers {
		if _, err := w.CreateRaw(&h); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	return b.Bytes()
}

func tarredAs(t *testing.T, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		h.Format = tar.FormatGNU // which holds any name
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	return b.Bytes()
}

// hostileFiles are the honest ones, those with names, n that are made of them,
// always the same, and of those that broke decoders before as many again, if
// there are.
func hostileFiles(t *testing.T, n int) []hostileFile {
	r := rand.New(rand.NewPCG(20, 26))
	honest := honestFiles(t)
	all := append(slices.Clone(honest), hostilelyNamed(t)...)
	for i := range n {
		m, from, other := mutations[i%len(mutations)], honest[r.IntN(len(honest))], honest[r.IntN(len(honest))]
		body := m.apply(r, bytes.Clone(from.body), other.body)
		all = append(all, hostileFile{name: strings.ReplaceAll(m.name, " ", "-") + "-" + from.name, body: body})
	}
	broken := brokenFiles(t)
	for i := range min(n, len(broken)) {
		all = append(all, broken[i*len(broken)/min(n, len(broken))])
	}
	return all
}

// brokenFiles are what the decoders and Go's own packages are tested with.
func brokenFiles(t *testing.T) (all []hostileFile) {
	module := func(path string) string { return said(t, "list", "-m", "-f", "{{.Dir}}", path) }
	for _, set := range []string{"bad", "comp-crashers", "regression", "decode-regression"} {
		z, err := zip.OpenReader(filepath.Join(module("github.com/klauspost/compress"), "zstd/testdata", set+".zip"))
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		for _, f := range z.File {
			in, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(in)
			broken := hostileFile{name: set + "-" + strings.TrimSuffix(filepath.Base(f.Name), ".zst") + ".zst", body: b}
			broken.refused = set == "bad" || set == "comp-crashers"
			all = append(all, broken)
		}
	}
	return all
}

func said(t *testing.T, arguments ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", arguments...).Output()
	if err != nil {
		if fetchtest.Required("corpora") {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	return strings.TrimSpace(string(out))
}
