// Package remains tells what of a damaged bag can be believed.
package remains

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const tagManifest = "tagmanifest-sha256.txt"

// Believed returns the names of the tag files of a bag that are as they were when it
// landed. bag is the SHA-256 that its tag manifest had then, in hex, or "" if that is not
// known: then the tag manifest is believed as it is. Links are no files.
func Believed(dir, bag string) map[string]bool {
	sums := map[string]string{}
	entries, _ := os.ReadDir(dir) // none if it can't be read
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		if sum, err := hash(filepath.Join(dir, e.Name())); err == nil {
			sums[e.Name()] = sum
		}
	}
	text := ""
	if b, err := os.ReadFile(filepath.Join(dir, tagManifest)); err == nil && sums[tagManifest] != "" {
		text = string(b)
	}
	delete(sums, tagManifest)
	if bag != "" && hashText(text) != bag { // perhaps it alone is damaged: it follows from the others
		text = ""
		for _, name := range slices.Sorted(maps.Keys(sums)) {
			text += fmt.Sprintf("%s  %s\n", sums[name], name)
		}
		if hashText(text) != bag {
			return nil
		}
	}
	believed := map[string]bool{}
	for line := range strings.Lines(text) {
		sum, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		if ok && sums[name] == sum {
			believed[name] = true
		}
	}
	return believed
}

func hashText(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func hash(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
