package archive

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// checkBag validates a bag against RFC 8493, section by section. It shares no code
// with the package.
func checkBag(dir string) error {
	declaration, err := os.ReadFile(filepath.Join(dir, "bagit.txt"))
	if err != nil || string(declaration) != "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n" {
		return fmt.Errorf("2.1.1: the declaration is %q, %w", declaration, err)
	}
	if info, err := os.Lstat(filepath.Join(dir, "data")); err != nil || !info.IsDir() {
		return fmt.Errorf("2.1.2: no payload directory: %w", err)
	}
	payload, err := sumsOf(dir, func(path string) bool { return strings.HasPrefix(path, "data/") })
	if err != nil {
		return err
	}
	tags, err := sumsOf(dir, func(path string) bool {
		return !strings.HasPrefix(path, "data/") && path != "tagmanifest-sha256.txt"
	})
	if err != nil {
		return err
	}
	return errors.Join(
		checkManifest("2.1.3", filepath.Join(dir, "manifest-sha256.txt"), payload),
		checkManifest("2.2.1", filepath.Join(dir, "tagmanifest-sha256.txt"), tags),
		checkInfo(dir, payload),
	)
}

type file struct {
	sum  string
	size int
}

func sumsOf(dir string, of func(path string) bool) (map[string]file, error) {
	sums := map[string]file{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if name, _ := filepath.Rel(dir, path); of(filepath.ToSlash(name)) {
			sums[filepath.ToSlash(name)] = file{fmt.Sprintf("%x", sha256.Sum256(b)), len(b)}
		}
		return err
	})
	return sums, err
}

var manifestLine = regexp.MustCompile(`^([0-9a-fA-F]{64})[ \t]+\*?(.*)$`)

// unescape undoes the escapes of a manifest, which are those of three characters.
var unescape = strings.NewReplacer("%0A", "\n", "%0D", "\r", "%25", "%")

// checkManifest checks that a manifest lists each file once, with its sum, and no
// other file.
func checkManifest(section, path string, files map[string]file) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%s: %w", section, err)
	}
	defer f.Close()
	seen := map[string]bool{}
	for s := bufio.NewScanner(f); s.Scan(); {
		m := manifestLine.FindStringSubmatch(s.Text())
		if m == nil {
			return fmt.Errorf("%s: %q is no line of a manifest", section, s.Text())
		}
		name := unescape.Replace(m[2])
		if seen[name] || files[name].sum != strings.ToLower(m[1]) {
			return fmt.Errorf("%s: %s is listed twice or with a wrong sum", section, name)
		}
		seen[name] = true
	}
	if len(seen) != len(files) {
		return fmt.Errorf("%s: %d of %d files are listed", section, len(seen), len(files))
	}
	return nil
}

func checkInfo(dir string, payload map[string]file) error {
	b, err := os.ReadFile(filepath.Join(dir, "bag-info.txt"))
	if err != nil {
		return err
	}
	octets := 0
	for _, f := range payload {
		octets += f.size
	}
	oxums := 0
	for line := range strings.Lines(string(b)) {
		label, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		if !ok || label == "" {
			return fmt.Errorf("2.2.2: %q is no metadata", line)
		}
		if label == "Payload-Oxum" {
			oxums++
			if want := fmt.Sprintf("%d.%d", octets, len(payload)); value != want {
				return fmt.Errorf("2.2.2: Payload-Oxum is %s, want %s", value, want)
			}
		}
	}
	if oxums != 1 {
		return fmt.Errorf("2.2.2: %d Payload-Oxums", oxums)
	}
	return nil
}

func TestOtherToolsCanCheckABag(t *testing.T) {
	odd := export{"é ü/名前 1.csv": rows(10), "two  spaces": rows(20), "-rf": rows(30), "a'b\"c*?": "", "deep/er/and/deeper": rows(99)}
	for _, e := range []export{threeObjects(), odd, {"one": ""}} {
		_, bag := mustLand(t, t.TempDir(), e)
		if err := checkBag(bag); err != nil {
			t.Error(err)
		}
		for _, manifest := range []string{"manifest-sha256.txt", "tagmanifest-sha256.txt"} {
			sha256sum(t, bag, manifest)
		}
	}
}

func sha256sum(t *testing.T, dir, manifest string) {
	t.Helper()
	if _, err := exec.LookPath("sha256sum"); err != nil {
		return
	}
	cmd := exec.Command("sha256sum", "-c", "--strict", "--quiet", manifest)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("sha256sum -c %s: %v: %s", manifest, err, out)
	}
}
