package unpack

import (
	"bytes"
	"encoding/base64"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A verdict is what unpacking a file must say.
type verdict struct {
	files int   // unpacked
	kind  error // or refused
	says  string
}

// zipVerdicts has the verdict on each test file of archive/zip.
var zipVerdicts = map[string]verdict{
	"comment-truncated.zip":    {kind: ErrCorrupt, says: "comment is cut short"},
	"crc32-not-streamed.zip":   {files: 2},
	"dd.zip":                   {files: 1},
	"dupdir.zip":               {kind: ErrUnsafeName, says: `"a/b" is a file and a directory`},
	"go-no-datadesc-sig.zip":   {files: 2},
	"go-with-datadesc-sig.zip": {files: 2},
	"gophercolor16x16.png":     {kind: ErrCorrupt, says: "no end record"},
	"readme.notzip":            {kind: ErrCorrupt, says: "no end record"},
	"readme.zip":               {kind: ErrCorrupt, says: "goes on after its end record"},
	"subdir.zip":               {files: 1},
	"symlink.zip":              {kind: ErrUnsafeName, says: `"symlink": is a symbolic link`},
	"test-badbase.zip":         {kind: ErrCorrupt, says: "does not end at"},
	"test-baddirsz.zip":        {kind: ErrCorrupt, says: "does not end at"},
	"test-prefix.zip":          {kind: ErrCorrupt, says: "goes on after its end record"},
	"test-trailing-junk.zip":   {kind: ErrCorrupt, says: "goes on after its end record"},
	"test.zip":                 {files: 2},
	"time-22738.zip":           {files: 1},
	"time-7zip.zip":            {files: 1},
	"time-go.zip":              {files: 1},
	"time-infozip.zip":         {files: 1},
	"time-osx.zip":             {files: 1},
	"time-win7.zip":            {files: 1},
	"time-winrar.zip":          {files: 1},
	"time-winzip.zip":          {files: 1},
	"unix.zip":                 {files: 3},
	"utf8-7zip.zip":            {files: 1},
	"utf8-infozip.zip":         {files: 1},
	"utf8-osx.zip":             {files: 1},
	"utf8-winrar.zip":          {files: 1},
	"utf8-winzip.zip":          {files: 1},
	"winxp.zip":                {files: 3},
	"zip64-2.zip":              {files: 1},
	"zip64.zip":                {files: 1},
}

// tarVerdicts has the verdict on each test file of archive/tar. Some files are
// only the beginning of a tar.
var tarVerdicts = map[string]verdict{
	"file-and-dir.tar":              {files: 1},
	"gnu-incremental.tar":           {kind: ErrUnsafeName, says: "is a sparse file"},
	"gnu-long-nul.tar":              {files: 1},
	"gnu-multi-hdrs.tar":            {kind: ErrUnsafeName, says: "is a symbolic link"},
	"gnu-nil-sparse-data.tar":       {kind: ErrUnsafeName, says: "is a sparse file"},
	"gnu-nil-sparse-hole.tar":       {kind: ErrUnsafeName, says: "is a sparse file"},
	"gnu-not-utf8.tar":              {files: 1},
	"gnu-sparse-big.tar":            {kind: ErrUnsafeName, says: "is a sparse file"},
	"gnu-sparse-many-zeros.tar.bz2": {kind: ErrCorrupt, says: "invalid tar header"},
	"gnu-utf8.tar":                  {files: 1},
	"gnu.tar":                       {files: 2},
	"hardlink.tar":                  {kind: ErrUnsafeName, says: "is a hard link"},
	"hdr-only.tar":                  {kind: ErrUnsafeName, says: "is a named pipe"},
	"invalid-go17.tar":              {files: 1},
	"issue10968.tar":                {kind: ErrCorrupt, says: "invalid tar header"},
	"issue11169.tar":                {kind: ErrCorrupt, says: "invalid tar header"},
	"issue12435.tar":                {kind: ErrCorrupt, says: "invalid tar header"},
	"neg-size.tar":                  {kind: ErrCorrupt, says: "invalid tar header"},
	"nil-uid.tar":                   {kind: ErrCorrupt, says: "no end marker"},
	"pax-bad-hdr-file.tar":          {kind: ErrCorrupt, says: "invalid tar header"},
	"pax-bad-hdr-large.tar.bz2":     {kind: ErrCorrupt, says: "unexpected EOF"},
	"pax-bad-mtime-file.tar":        {kind: ErrCorrupt, says: "invalid tar header"},
	"pax-global-records.tar":        {kind: ErrCorrupt, says: `global header of "path"`},
	"pax-multi-hdrs.tar":            {kind: ErrUnsafeName, says: "is a symbolic link"},
	"pax-nil-sparse-data.tar":       {kind: ErrUnsafeName, says: "is a sparse file"},
	"pax-nil-sparse-hole.tar":       {kind: ErrUnsafeName, says: "is a sparse file"},
	"pax-nul-path.tar":              {kind: ErrCorrupt, says: "invalid tar header"},
	"pax-nul-xattrs.tar":            {kind: ErrCorrupt, says: "invalid tar header"},
	"pax-path-hdr.tar":              {kind: ErrCorrupt, says: "no end marker"},
	"pax-pos-size-file.tar":         {kind: ErrCorrupt, says: "999 bytes by one header and 684 by another"},
	"pax-records.tar":               {files: 1},
	"pax-sparse-big.tar":            {kind: ErrUnsafeName, says: "is a sparse file"},
	"pax.tar":                       {kind: ErrUnsafeName, says: "is a symbolic link"},
	"small.txt":                     {kind: ErrCorrupt, says: "unexpected EOF"},
	"small2.txt":                    {kind: ErrCorrupt, says: "unexpected EOF"},
	"sparse-formats.tar":            {kind: ErrUnsafeName, says: "is a sparse file"},
	"star.tar":                      {files: 2},
	"trailing-slash.tar":            {files: 0},
	"ustar-file-devs.tar":           {files: 1},
	"ustar-file-reg.tar":            {kind: ErrCorrupt, says: "no end marker"},
	"ustar.tar":                     {files: 1},
	"v7.tar":                        {files: 2},
	"writer-big-long.tar":           {kind: ErrBomb, says: "17179869184 bytes are over the limit"},
	"writer-big.tar":                {kind: ErrBomb, says: "17179869184 bytes are over the limit"},
	"writer.tar":                    {kind: ErrUnsafeName, says: "is a symbolic link"},
	"xattrs.tar":                    {files: 2},
}

func TestEachTestFileOfTheStandardLibraryHasItsVerdict(t *testing.T) {
	for _, c := range []struct {
		format   string
		unpack   func(testing.TB, []byte, Limits) (map[string]string, error)
		verdicts map[string]verdict
	}{{"zip", unzip, zipVerdicts}, {"tar", untarred, tarVerdicts}} {
		for name, b := range corpus(t, c.format) {
			t.Run(name, func(t *testing.T) {
				want, stated := c.verdicts[name]
				if !stated {
					t.Fatal("no verdict is stated for it")
				}
				got, err := c.unpack(t, b, Limits{Bytes: 1 << 30})
				refused(t, err, want.kind, want.says)
				if err == nil && len(got) != want.files {
					t.Errorf("unpacked %d files, want %d", len(got), want.files)
				}
			})
		}
	}
}

// corpus returns the test files of archive/zip or archive/tar.
func corpus(t testing.TB, format string) map[string][]byte {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		skipWithout(t, "no go command: ", err)
	}
	dir := filepath.Join(strings.TrimSpace(string(root)), "src/archive", format, "testdata")
	files, err := os.ReadDir(dir)
	if err != nil {
		skipWithout(t, "no sources of Go: ", err)
	}
	all := map[string][]byte{}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		name, coded := strings.CutSuffix(f.Name(), ".base64")
		if coded {
			b, err = base64.StdEncoding.DecodeString(string(b))
		}
		if err != nil {
			t.Fatal(err)
		}
		all[name] = b
	}
	return all
}

// A container with a flipped bit is refused, unless the bit is in something that
// is ignored: times, owners, hints. The content never changes.
func TestFlippedBitsNeverChangeTheContent(t *testing.T) {
	if testing.Short() {
		t.Skip("it decodes much")
	}
	second, third := methodOf(methodDeflate), methodOf(methodZstd)
	second.name, second.descriptor = "b", 16
	third.name, third.zip64 = "d/c", true
	z := testZip{zip64: true, entries: []testEntry{{name: "d/"}, {name: "a", content: "x"}, second, third}}
	whole := z.bytes(t)
	want, err := unzip(t, whole, Limits{})
	refused(t, err, nil, "")
	for bit := range 8 * len(whole) {
		b := bytes.Clone(whole)
		b[bit/8] ^= 1 << (bit % 8)
		got, err := unzip(t, b, Limits{})
		if err == nil && !maps.Equal(got, want) {
			t.Errorf("bit %d of byte %d: unpacked %.200q", bit%8, bit/8, got)
		}
		if err == nil {
			asOthersRead(t, b, got)
		}
	}
}
