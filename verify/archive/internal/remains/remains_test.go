package remains

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What was edited is not believed, whoever remade the manifest of it; what is merely
// beside a damaged file is.
func TestWhatTheTagManifestVouchesForIsBelieved(t *testing.T) {
	files := map[string]string{"bagit.txt": "one\n", "manifest-sha256.txt": "two\n", "receipt.json": "{}\n"}
	manifestOf := func(files map[string]string) (text string) {
		for _, name := range slices.Sorted(maps.Keys(files)) {
			text += hashText(files[name]) + "  " + name + "\n"
		}
		return text
	}
	sound := manifestOf(files)
	edited := maps.Clone(files)
	edited["receipt.json"] = "{ }\n"
	for name, tt := range map[string]struct {
		change map[string]string // "" removes
		bag    string
		want   string
	}{
		"all of it is sound":                   {nil, hashText(sound), "bagit.txt manifest-sha256.txt receipt.json"},
		"a file is missing":                    {map[string]string{"receipt.json": ""}, hashText(sound), "bagit.txt manifest-sha256.txt"},
		"a file is changed":                    {map[string]string{"manifest-sha256.txt": "x"}, hashText(sound), "bagit.txt receipt.json"},
		"the tag manifest is missing":          {map[string]string{tagManifest: ""}, hashText(sound), "bagit.txt manifest-sha256.txt receipt.json"},
		"the tag manifest is changed":          {map[string]string{tagManifest: "x"}, hashText(sound), "bagit.txt manifest-sha256.txt receipt.json"},
		"it and a file are":                    {map[string]string{tagManifest: "x", "bagit.txt": "x"}, hashText(sound), ""},
		"an edit with the manifest made anew":  {map[string]string{tagManifest: manifestOf(edited), "receipt.json": "{ }\n"}, hashText(sound), ""},
		"nobody knows what the manifest was":   {map[string]string{"bagit.txt": "x"}, "", "manifest-sha256.txt receipt.json"},
		"nobody knows, and it is missing, too": {map[string]string{tagManifest: ""}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			all := maps.Clone(files)
			all[tagManifest] = sound
			maps.Copy(all, tt.change)
			for name, text := range all {
				if text == "" {
					continue
				}
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got := strings.Join(slices.Sorted(maps.Keys(Believed(dir, tt.bag))), " "); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
	if got := Believed(filepath.Join(t.TempDir(), "none"), hashText(sound)); len(got) > 0 {
		t.Errorf("of no directory: %v", got)
	}
}
