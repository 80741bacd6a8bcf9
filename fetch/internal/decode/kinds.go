package decode

import (
	"bytes"
	"cmp"
	"regexp"
	"slices"
	"strings"
	"sync"

	"tallyman/fetch/internal/unpack"
	"tallyman/verify"
)

// keptFormats are known, but not decoded: such a file is kept as it is. What has
// no magic is known by its name alone.
var keptFormats = []format{
	{name: "bzip2", magic: "BZh", suffixes: []string{".bz2", ".bz", ".bzip2", ".tbz2", ".tbz", ".tb2"}},
	{name: "xz", magic: "\xfd7zXZ\x00", suffixes: []string{".xz", ".txz"}},
	{name: "7z", magic: "7z\xbc\xaf\x27\x1c", suffixes: []string{".7z"}},
	{name: "RAR", magic: "Rar!\x1a\x07", suffixes: []string{".rar"}},
	{name: "compress", magic: "\x1f\x9d", suffixes: []string{".z"}},
	{name: "lzip", magic: "LZIP", suffixes: []string{".lz"}},
	{name: "lzop", magic: "\x89LZO\x00", suffixes: []string{".lzo", ".lzop", ".tzo"}},
	{name: "framed Snappy", magic: "\xff\x06\x00\x00sNaPpY", suffixes: []string{".sz"}},
	{name: "Brotli", suffixes: []string{".br"}},
	{name: "LZMA", suffixes: []string{".lzma", ".tlz"}},
	{name: "Snappy", suffixes: []string{".snappy"}},
}

// packedTars are the formats around a tar of such a name.
var packedTars = map[string][]string{".tgz": {"gzip"}, ".taz": {"gzip", "compress"}, ".tzst": {"zstd"}, ".tlz4": {"lz4"}}

// containers are the formats of containers by the extensions of their names.
var containers = map[string]string{".zip": "zip", ".zipx": "zip", ".tar": "tar"}

// selfEncoded are the extensions of files that are gzip by their magic, and
// another kind of file by their names: they are kept as they are.
var selfEncoded = []string{".apkg", ".bam", ".bcf", ".bgz", ".box", ".crate", ".dia", ".emz", ".gnumeric", ".ipk", ".rda", ".rdata", ".rds", ".svgz", ".unitypackage", ".wmz"}

// tableKinds are the extensions of files that are never a container or a
// compressed file themselves: text, and the formats of tables.
var tableKinds = append([]string{".avro", ".htm", ".html", ".orc", ".parquet"}, textExtensions...)

// tableMagics are the first bytes of the formats of tables, by extension.
var tableMagics = map[string]string{".avro": "Obj\x01", ".orc": "ORC", ".parquet": "PAR1"}

// A label is what a name says of its file.
type label struct {
	suffix string // of a codec, or of a packed tar: ".gz", ".tgz"; or ""
	kind   string // the extension before that says what the file is: ".csv"; or ""
}

// label returns what the name of the object says of the bytes at hand, which may
// have been decoded.
func (d *decoding) label() label {
	rest, suffix := cutCodecSuffix(d.Names.Object)
	l := label{strings.ToLower(suffix), verify.Extension(rest)}
	if extension := verify.Extension(d.Names.Object); packedTars[extension] != nil {
		l = label{extension, ".tar"}
	}
	if d.result.Codec != "" {
		l.suffix = ""
	}
	return l
}

// formats returns the formats that the file must be of to be what its name says.
// There are none if the name does not tell.
func (l label) formats() (names []string) {
	extension := cmp.Or(l.suffix, l.kind)
	if container := containers[extension]; container != "" {
		return []string{container}
	}
	for _, f := range slices.Concat(formats, keptFormats) {
		if slices.Contains(f.suffixes, extension) {
			names = append(names, f.name)
		}
	}
	return append(names, packedTars[extension]...)
}

// isKept reports whether the name is that of a format that is kept.
func (l label) isKept() bool {
	return l.suffix == "" && slices.ContainsFunc(keptFormats, func(f format) bool { return slices.Contains(f.suffixes, l.kind) })
}

// unpacks reports whether a container is unpacked: if the name says that it is
// one, or does not say what it is. A name of another kind of file (.xlsx, .jar)
// means the file as it is.
func (d *decoding) unpacks() bool {
	kind := d.label().kind
	return kind == "" || containers[kind] != ""
}

// opens reports whether an object of a format is decoded or unpacked.
func (d *decoding) opens(f *format) bool {
	if f == nil || f.open == nil {
		return f != nil && d.unpacks()
	}
	l := d.label()
	return l.suffix != "" || !l.isKept() && !slices.Contains(selfEncoded, l.kind)
}

// identify returns the format of the bytes at hand, which begin with head, or "".
// Zeros are a tar if the name says so: one without entries.
func (d *decoding) identify(head []byte) string {
	kind := d.label().kind
	isTar, _ := unpack.IsTar(head)
	switch {
	case isTar, kind == ".tar" && len(head) == tarBlock && len(bytes.Trim(head, "\x00")) == 0:
		return "tar"
	case verify.IsText(head):
		return ""
	}
	for _, f := range slices.Concat(formats, keptFormats) {
		if f.magic != "" && bytes.HasPrefix(head, []byte(f.magic)) {
			return f.name
		}
	}
	return ""
}

// partOfZip matches the extensions of the parts of a split zip but for the last.
var partOfZip = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^\.zx?\d\d$`) })

// tarBlock is the size of a block of a tar.
const tarBlock = 512

// suffixOf returns the usual suffix of files of a format.
func suffixOf(name string) string {
	for _, f := range slices.Concat(formats, keptFormats) {
		if f.name == name && len(f.suffixes) > 0 {
			return f.suffixes[0]
		}
	}
	return "." + name // a container
}
