// Package bagtest validates bags for tests, by the rules of RFC 8493 alone.
package bagtest

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Check validates a bag against RFC 8493, section by section. It shares no code
// with the archive. It also refuses a name that one of the usual validators reads
// otherwise than it is written.
func Check(dir string) error {
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
		if err := checkName(m[2], name); err != nil {
			return fmt.Errorf("%s: %w", section, err)
		}
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

// variable is what Python expands in a path: bagit-python takes a name that
// changes so for one that leads out of the bag.
var variable = regexp.MustCompile(`\$(\w+|\{[^}]*\})`)

// checkName checks a name as it is written in a manifest, and as it is read.
func checkName(written, name string) error {
	isEnd := func(r rune) bool {
		return r == '\u0085' || r == '\u2028' || r == '\u2029' || r != ' ' && unicode.IsControl(r)
	}
	variables := variable.FindAllString(name, -1)
	switch {
	case !utf8.ValidString(written):
		return fmt.Errorf("2.1.1: %q is not UTF-8", written)
	case strings.TrimFunc(written, unicode.IsSpace) != written || strings.Trim(written, "\ufeff\u180e") != written:
		return fmt.Errorf("2.1.3: %q begins or ends with white space, which readers drop", written)
	case strings.ContainsFunc(written, isEnd):
		return fmt.Errorf("2.1.3: %q has what some readers take for the end of the line", written)
	case path.Clean(name) != name || path.IsAbs(name) || strings.HasPrefix(name, "~") || strings.HasPrefix(name, ".."):
		return fmt.Errorf("2.1.3: %q does not lead to a file in the bag", name)
	case strings.Contains(name, `\`):
		return fmt.Errorf("2.1.3: %q has a backslash, which sha256sum escapes", name)
	case len(variables) > 0 && os.ExpandEnv(variables[0]) != "":
		return fmt.Errorf("2.1.3: %q is changed by the environment", name)
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
