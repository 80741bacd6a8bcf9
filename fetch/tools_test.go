package fetch_test

import (
	"archive/zip"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"tallyman/fetch/fetchtest"
)

const javaZip = `
import java.nio.file.*; import java.util.zip.*;
public class Z { public static void main(String[] a) throws Exception {
	try (ZipOutputStream z = new ZipOutputStream(Files.newOutputStream(Path.of("out"))); var paths = Files.walk(Path.of("tree"))) {
		for (Path p : (Iterable<Path>) paths::iterator) {
			z.putNextEntry(new ZipEntry(p + (Files.isDirectory(p) ? "/" : "")));
			if (!Files.isDirectory(p)) { Files.copy(p, z); }
			z.closeEntry();
		}
	}
}}`

const pythonZip = `
import glob, io, os, sys, tarfile, zipfile
class Pipe(io.RawIOBase):
    def __init__(self, f): self.f = f
    def writable(self): return True
    def write(self, b): return self.f.write(b)
if sys.argv[1] == 'tar':
    with tarfile.open('out', 'w', format=getattr(tarfile, sys.argv[2])) as t: t.add('tree')
    sys.exit()
out = open('out', 'wb')
if 'stream' in sys.argv: out = Pipe(out)
with zipfile.ZipFile(out, 'w', zipfile.ZIP_DEFLATED) as z:
    for n in glob.glob('tree/**', recursive=True):
        if os.path.isdir(n): z.write(n)
        else:
            with z.open(n, 'w', force_zip64='wide' in sys.argv) as f: f.write(open(n, 'rb').read())
`

// treeFiles are what each tool puts into a container, with an empty directory.
var treeFiles = map[string]string{
	"tree/plain.csv":        strings.Repeat("a,b,c\n", 50_000),
	"tree/订单数据.csv":         "订单,金额\n1,2\n",
	"tree/空文件":              "",
	"tree/二〇二六年/十二月 报表.csv": "1,2\n",
}

// containerTools are commands that write a container of the directory tree to out
// or out.zip. "$0" is the tool. If one names the entry of a pipe, the container
// has that one only.
var containerTools = []struct {
	name, tool, command string
	fromPipe            string
}{
	{name: "zip", tool: "zip", command: `"$0" -qr out tree`},
	{name: "zip, stored", tool: "zip", command: `"$0" -qr0 out tree`},
	{name: "zip, to a pipe", tool: "zip", command: `"$0" -qr - tree | cat >out`},
	{name: "zip, from a pipe", tool: "zip", command: `cat tree/plain.csv | "$0" -q | cat >out`, fromPipe: "_2d"}, // its name is "-"
	{name: "zip, zip64", tool: "zip", command: `"$0" -qr -fz out tree`},
	{name: "zip, descriptors", tool: "zip", command: `"$0" -qr -fd out tree`},
	{name: "zip, code page", tool: "zip", command: `LC_ALL=C "$0" -qr out tree`},
	{name: "zip by 7z", tool: "7z", command: `"$0" a -bd out.zip tree`},
	{name: "zip by 7z, to a pipe", tool: "7z", command: `"$0" a -bd -tzip -so x tree | cat >out`},
	{name: "zip by 7z, code page", tool: "7z", command: `"$0" a -bd -mcl out.zip tree`},
	{name: "zip by 7z, from a pipe", tool: "7z", command: `cat tree/plain.csv | "$0" a -bd -sipiped.csv out.zip`, fromPipe: "piped.csv"},
	{name: "zip by bsdtar", tool: "bsdtar", command: `"$0" --format zip -cf out tree`},
	{name: "zip by bsdtar, to a pipe", tool: "bsdtar", command: `"$0" --format zip -cf - tree | cat >out`},
	{name: "zip by Python", tool: "python3", command: `"$0" make.py zip`},
	{name: "zip by Python, zip64", tool: "python3", command: `"$0" make.py zip wide`},
	{name: "zip by Python, to a pipe", tool: "python3", command: `"$0" make.py zip stream`},
	{name: "zip by Python, zip64 to a pipe", tool: "python3", command: `"$0" make.py zip stream wide`},
	{name: "zip by Java", tool: "java", command: `"$0" -Dfile.encoding=UTF-8 -Dsun.jnu.encoding=UTF-8 Z.java`},
	{name: "zip by jar", tool: "jar", command: `"$0" -J-Dsun.jnu.encoding=UTF-8 -c -f out -M tree`},
	{name: "zip by Go"},
	{name: "tar v7", tool: "tar", command: `"$0" --format v7 -cf out tree`},
	{name: "tar oldgnu", tool: "tar", command: `"$0" --format oldgnu -cf out tree`},
	{name: "tar gnu", tool: "tar", command: `"$0" --format gnu -cf out tree`},
	{name: "tar ustar", tool: "tar", command: `"$0" --format ustar -cf out tree`},
	{name: "tar posix", tool: "tar", command: `"$0" --format posix -cf out tree`},
	{name: "tar, names with ./", tool: "tar", command: `"$0" -cf out ./tree`},
	{name: "tar, big blocks", tool: "tar", command: `"$0" -b 2048 -cf out tree`},
	{name: "tar by bsdtar", tool: "bsdtar", command: `"$0" -cf out tree`},
	{name: "tar by bsdtar, pax", tool: "bsdtar", command: `"$0" --format pax -cf out tree`},
	{name: "tar by bsdtar, ustar", tool: "bsdtar", command: `"$0" --format ustar -cf out tree`},
	{name: "tar by bsdtar, gnutar", tool: "bsdtar", command: `"$0" --format gnutar -cf out tree`},
	{name: "tar by bsdtar, v7", tool: "bsdtar", command: `"$0" --format v7tar -cf out tree`},
	{name: "tar by 7z", tool: "7z", command: `"$0" a -bd -ttar out.tar tree`},
	{name: "tar by Python, ustar", tool: "python3", command: `"$0" make.py tar USTAR_FORMAT`},
	{name: "tar by Python, gnu", tool: "python3", command: `"$0" make.py tar GNU_FORMAT`},
	{name: "tar by Python, pax", tool: "python3", command: `"$0" make.py tar PAX_FORMAT`},
}

// Whatever tool made a zip or a tar of a tree with Chinese names, the same files
// land. A tool that is not here is skipped, unless TALLYMAN_REQUIRE names it.
func TestContainersOfEachToolLandWithEqualContent(t *testing.T) {
	if testing.Short() {
		t.Skip("one export after another")
	}
	for _, c := range containerTools {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var container []byte
			if c.tool == "" {
				container = zippedTree(t)
			} else {
				container = runTool(t, c.tool, c.command)
			}
			format, _, _ := strings.Cut(c.name, " ")
			f := newMemoryFetcher(t, fetchtest.NewMemory(fetchtest.NewFile("e."+strings.Trim(format, ","), container)))
			mustFetch(t, f)
			want := treeFiles
			if c.fromPipe != "" {
				want = map[string]string{c.fromPipe: treeFiles["tree/plain.csv"]}
			}
			checkFiles(t, f, want)
		})
	}
}

// zippedTree returns a zip that archive/zip made of treeFiles.
func zippedTree(t *testing.T) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	if err := w.AddFS(os.DirFS(treeDir(t))); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// treeDir returns a directory that holds treeFiles.
func treeDir(t *testing.T) string {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "tree/空目录"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range treeFiles {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// runTool runs a command in a directory with treeFiles, and returns the container
// that it wrote.
func runTool(t *testing.T, tool, command string) []byte {
	skip := t.Skipf
	if fetchtest.Required(tool) {
		skip = t.Fatalf
	}
	path, err := exec.LookPath(tool)
	for _, other := range map[string][]string{"7z": {"7zz", "7za"}}[tool] {
		if err != nil {
			path, err = exec.LookPath(other)
		}
	}
	if err != nil {
		skip("%v", err)
	}
	dir := treeDir(t)
	for name, text := range map[string]string{"make.py": pythonZip, "Z.java": javaZip} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run := exec.CommandContext(t.Context(), "sh", "-c", command, path)
	run.Dir, run.Env = dir, append(os.Environ(), "LC_ALL=C.UTF-8", "PYTHONUTF8=1")
	if said, err := run.CombinedOutput(); err != nil {
		skip("%s: %v: %s", command, err, bytes.TrimSpace(said))
	}
	out, err := filepath.Glob(filepath.Join(dir, "out*"))
	if err != nil || len(out) != 1 {
		t.Fatalf("%s wrote %v, error %v", command, out, err)
	}
	b, err := os.ReadFile(out[0])
	if err != nil {
		t.Fatal(err)
	}
	return b
}
