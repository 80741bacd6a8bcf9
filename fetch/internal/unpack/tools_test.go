package unpack

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const javaZip = `
import java.io.*; import java.util.zip.*;
public class Z { public static void main(String[] a) throws Exception {
	try (ZipOutputStream z = new ZipOutputStream(new FileOutputStream("out"))) {
		z.putNextEntry(new ZipEntry("d/")); z.closeEntry();
		for (String name : new String[]{"d/a", "d/empty", "d/ü.csv"}) {
			z.putNextEntry(new ZipEntry(name));
			try (FileInputStream in = new FileInputStream(name)) { in.transferTo(z); }
			z.closeEntry();
		}
	}
}}`

const pythonZip = `
import sys, zipfile, io
class Pipe(io.RawIOBase):
    def __init__(self, f): self.f = f
    def writable(self): return True
    def write(self, b): return self.f.write(b)
out = open('out', 'wb')
if 'stream' in sys.argv: out = Pipe(out)
with zipfile.ZipFile(out, 'w', zipfile.ZIP_DEFLATED) as z:
    z.write('d')
    for n in 'd/a', 'd/empty', 'd/ü.csv':
        with z.open(n, 'w', force_zip64='wide' in sys.argv) as f: f.write(open(n, 'rb').read())
`

// tools are commands that write a container of the directory d to out.
var tools = map[string][]string{
	"zip":             {"zip", "-qr", "out.zip", "d"},
	"zip stored":      {"zip", "-qr0", "out.zip", "d"},
	"zip to a pipe":   {"sh", "-c", "zip -qr - d | cat >out"},
	"zip64":           {"zip", "-qr", "-fz", "out.zip", "d"},
	"zip descriptors": {"zip", "-qr", "-fd", "out.zip", "d"},
	"bsdtar zip":      {"bsdtar", "--format", "zip", "-cf", "out", "d"},
	"7z zip":          {"7z", "a", "-bd", "out.zip", "d"},
	"python":          {"python3", "make.py"},
	"python wide":     {"python3", "make.py", "wide"},
	"python stream":   {"python3", "make.py", "stream"},
	"python both":     {"python3", "make.py", "stream", "wide"},
	"java":            {"java", "-Dfile.encoding=UTF-8", "-Dsun.jnu.encoding=UTF-8", "Z.java"},
	"jar":             {"jar", "-J-Dsun.jnu.encoding=UTF-8", "-c", "-f", "out", "-M", "d"},
	"tar":             {"tar", "-cf", "out", "d"},
	"tar of .":        {"tar", "-C", "d", "-cf", "out", "."},
	"tar POSIX":       {"tar", "--format", "posix", "-cf", "out", "d"},
	"tar ustar":       {"tar", "--format", "ustar", "-cf", "out", "d"},
	"tar, big blocks": {"tar", "-b", "2048", "-cf", "out", "d"},
	"bsdtar":          {"bsdtar", "-cf", "out", "d"},
	"python tar":      {"python3", "-m", "tarfile", "-c", "out.tar", "d"},
}

func TestContainersOfCommonToolsUnpack(t *testing.T) {
	content := map[string]string{"d/a": strings.Repeat("a,b,c\n", 50_000), "d/empty": "", "d/ü.csv": "1,2\n"}
	for name, command := range tools {
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath(command[0]); err != nil || strings.HasPrefix(name, "zip") && !onPath("zip") {
				t.Skip("not on PATH")
			}
			t.Parallel()
			b := runTool(t, command, content)
			unpack, want := unzip, maps.Clone(content)
			if isTar, _ := IsTar(b); isTar {
				unpack = untarred
			} else if !bytes.HasPrefix(b, []byte(localMagic)) {
				t.Fatalf("neither zip nor tar: %q", b[:4])
			}
			if name == "tar of ." {
				want = map[string]string{"a": content["d/a"], "empty": "", "ü.csv": content["d/ü.csv"]}
			}
			got, err := unpack(t, b, Limits{})
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%v; files (-want +got)\n%s", err, diff)
			}
		})
	}
}

func onPath(tool string) bool {
	_, err := exec.LookPath(tool)
	return err == nil
}

// runTool runs a command in a directory with the given files in d, and returns
// the container that it wrote.
func runTool(t *testing.T, command []string, content map[string]string) []byte {
	dir := t.TempDir()
	files := maps.Clone(content)
	files["make.py"], files["Z.java"] = pythonZip, javaZip
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run := exec.Command(command[0], command[1:]...)
	run.Dir, run.Env = dir, append(os.Environ(), "LC_ALL=C.UTF-8", "PYTHONUTF8=1")
	if said, err := run.CombinedOutput(); err != nil {
		t.Skipf("%v: %v: %s", command, err, bytes.TrimSpace(said))
	}
	out, err := filepath.Glob(filepath.Join(dir, "out*"))
	if err != nil || len(out) != 1 {
		t.Fatalf("wrote %v, error %v", out, err)
	}
	b, err := os.ReadFile(out[0])
	if err != nil {
		t.Fatal(err)
	}
	return b
}
