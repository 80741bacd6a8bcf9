package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestRecheckNamesEachDamage(t *testing.T) {
	at := func(name string, change func([]byte) []byte) func(*testing.T, string) {
		return func(t *testing.T, bag string) { edit(t, filepath.Join(bag, name), change) }
	}
	replace := func(old, new string) func([]byte) []byte {
		return func(b []byte) []byte { return []byte(strings.Replace(string(b), old, new, 1)) }
	}
	add := func(s string) func([]byte) []byte { return func(b []byte) []byte { return append(b, s...) } }
	remove := func(name string) func(*testing.T, string) {
		return func(t *testing.T, bag string) { os.RemoveAll(filepath.Join(bag, name)) }
	}
	plant := func(name string) func(*testing.T, string) {
		return func(t *testing.T, bag string) { rewrite(t, filepath.Join(bag, name), []byte("x")) }
	}
	withoutLine := func(b []byte) []byte { return b[strings.IndexByte(string(b), '\n')+1:] }
	for _, tt := range []struct {
		name   string
		damage func(t *testing.T, bag string)
		want   string
	}{
		{"content missing", remove("data/a.csv"), "data/a.csv is missing"},
		{"directory missing", remove("data/logs"), "data/logs/deep/b.csv is missing"},
		{"all content missing", remove("data"), "data/a.csv is missing"},
		{"content flipped", at("data/a.csv", flip), "data/a.csv has other bytes"},
		{"content cut short", at("data/a.csv", cutShort), "data/a.csv has other bytes"},
		{"content longer", at("data/a.csv", add("\n")), "data/a.csv has other bytes"},
		{"an empty file filled", at("data/empty", add("\n")), "data/empty has other bytes"},
		{"a stranger in data", plant("data/x"), "data/x is in no manifest"},
		{"a stranger in the bag", plant("x"), "x is in no manifest"},
		{"a stranger in a directory", plant("data/logs/x"), "data/logs/x is in no manifest"},
		{"a symlink for content", func(t *testing.T, bag string) {
			os.Rename(filepath.Join(bag, "data/a.csv"), filepath.Join(bag, "../moved"))
			os.Symlink("../../moved", filepath.Join(bag, "data/a.csv"))
		}, "data/a.csv can't be read: it is not a regular file"},
		{"a symlink within the bag", func(t *testing.T, bag string) {
			os.Rename(filepath.Join(bag, "data/a.csv"), filepath.Join(bag, "data/moved"))
			os.Symlink("moved", filepath.Join(bag, "data/a.csv"))
		}, "data/a.csv can't be read: it is not a regular file"},
		{"a symlink more", func(t *testing.T, bag string) { os.Symlink("/etc", filepath.Join(bag, "data/x")) }, "data/x is in no manifest"},
		{"a symlink for a directory", func(t *testing.T, bag string) {
			os.Rename(filepath.Join(bag, "data/logs"), filepath.Join(bag, "../moved"))
			os.Symlink("../../moved", filepath.Join(bag, "data/logs"))
		}, "data/logs/deep/b.csv can't be read"},
		{"a pipe for content", func(t *testing.T, bag string) {
			os.Remove(filepath.Join(bag, "data/a.csv"))
			syscall.Mkfifo(filepath.Join(bag, "data/a.csv"), 0o644)
		}, "data/a.csv can't be read: it is not a regular file"},
		{"a directory for content", func(t *testing.T, bag string) {
			os.Remove(filepath.Join(bag, "data/a.csv"))
			os.Mkdir(filepath.Join(bag, "data/a.csv"), 0o755)
		}, "data/a.csv can't be read: it is not a regular file"},
		{"a file for a directory", func(t *testing.T, bag string) {
			os.RemoveAll(filepath.Join(bag, "data/logs"))
			plant("data/logs")(t, bag)
		}, "data/logs/deep/b.csv is missing"},
		{"a line of the manifest removed", at(manifest, withoutLine), "data/a.csv is in no manifest"},
		{"the same, and the tag manifest made to fit", func(t *testing.T, bag string) {
			at(manifest, withoutLine)(t, bag)
			resum(t, bag)
		}, "data/a.csv is in no manifest"},
		{"a line of the manifest twice", at(manifest, func(b []byte) []byte { return append(b, b...) }), "manifest-sha256.txt has an invalid line"},
		{"a line of the manifest that leads out", at(manifest, replace("data/a.csv", "data/../../a.csv")), "manifest-sha256.txt has an invalid line"},
		{"a line of the manifest that is none", at(manifest, add("x\n")), "manifest-sha256.txt has an invalid line"},
		{"manifest missing", remove(manifest), "manifest-sha256.txt is missing"},
		{"tag manifest missing", remove(tagManifest), "tagmanifest-sha256.txt is missing"},
		{"tag manifest emptied", at(tagManifest, func([]byte) []byte { return nil }), "tagmanifest-sha256.txt does not list receipt.json"},
		{"tag manifest edited", at(tagManifest, replace("0", "1")), "has other bytes"},
		{"tag manifest lists content", at(tagManifest, replace("  bag-info.txt", "  data/a.csv")), "tagmanifest-sha256.txt has an invalid line"},
		{"receipt edited", at(receiptFile, replace("SUCCEEDED", "FAILED")), "receipt.json has other bytes"},
		{"receipt missing", remove(receiptFile), "receipt.json is missing"},
		{"receipt of another export", func(t *testing.T, bag string) {
			at(receiptFile, replace(testKey, "sls/x"))(t, bag)
			resum(t, bag)
		}, testKey + " has the receipt of another export"},
		{"receipt that is none", func(t *testing.T, bag string) {
			at(receiptFile, cutShort)(t, bag)
			resum(t, bag)
		}, "receipt.json"},
		{"oxum edited", at(bagInfo, replace("Payload-Oxum: ", "Payload-Oxum: 1")), "bag-info.txt has other bytes"},
		{"oxum wrong, and the tag manifest made to fit", func(t *testing.T, bag string) {
			at(bagInfo, replace("Payload-Oxum: ", "Payload-Oxum: 1"))(t, bag)
			resum(t, bag)
		}, "the payload is 130.3, and bag-info.txt says 1130.3"},
		{"oxum missing, and the tag manifest made to fit", func(t *testing.T, bag string) {
			at(bagInfo, replace("Payload-Oxum", "Payload"))(t, bag)
			resum(t, bag)
		}, "bag-info.txt has no Payload-Oxum"},
		{"bag-info missing", remove(bagInfo), "bag-info.txt is missing"},
		{"declaration missing", remove(bagDeclaration), "bagit.txt is missing"},
		{"declaration of another version, and the tag manifest made to fit", func(t *testing.T, bag string) {
			at(bagDeclaration, replace("1.0", "0.97"))(t, bag)
			resum(t, bag)
		}, "bagit.txt is not the declaration of a BagIt 1.0 bag"},
		{"a file for the bag", func(t *testing.T, bag string) {
			os.RemoveAll(bag)
			rewrite(t, bag, nil)
		}, "it is not a directory"},
		{"an empty bag", func(t *testing.T, bag string) {
			os.RemoveAll(bag)
			os.Mkdir(bag, 0o755)
		}, "manifest-sha256.txt is missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, bag := mustLand(t, t.TempDir(), threeObjects())
			if err := a.Recheck(t.Context(), testKey, nil); err != nil {
				t.Fatalf("undamaged: %v", err)
			}
			tt.damage(t, bag)
			err := a.Recheck(t.Context(), testKey, nil)
			damage, ok := errors.AsType[*Damage](err)
			if !ok || damage.Key != testKey || !errors.Is(err, ErrDamaged) || errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("%v", err)
			}
			if got := strings.Join(damage.Problems, "\n"); !strings.Contains(got, tt.want) {
				t.Errorf("%s\nwant %s", got, tt.want)
			}
		})
	}
}

// resum rewrites the tag manifest to fit the tag files as they are.
func resum(t *testing.T, bag string) {
	t.Helper()
	var sums strings.Builder
	for _, name := range slices.Sorted(slices.Values(tagFiles)) {
		if name != tagManifest {
			b, err := os.ReadFile(filepath.Join(bag, name))
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&sums, "%s  %s\n", sumOf(string(b)), name)
		}
	}
	rewrite(t, filepath.Join(bag, tagManifest), []byte(sums.String()))
}

func TestADamagedReceiptIsNotAbsence(t *testing.T) {
	for _, change := range []func(path string){
		func(path string) { os.Remove(path) },
		func(path string) { rewrite(t, path, []byte("{")) },
		func(path string) { rewrite(t, path, []byte(`{"schema":"other","key":"`+testKey+`"}`)) },
	} {
		a, bag := mustLand(t, t.TempDir(), threeObjects())
		change(filepath.Join(bag, receiptFile))
		if _, err := a.Receipt(testKey); !errors.Is(err, ErrDamaged) || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v", err)
		}
		if _, err := land(a, threeObjects()); !errors.Is(err, ErrDamaged) {
			t.Errorf("it lands over the damage: %v", err)
		}
	}
}

func TestRecheckEndsWithItsContext(t *testing.T) {
	a, _ := mustLand(t, t.TempDir(), threeObjects())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Recheck(ctx, testKey, nil); !errors.Is(err, context.Canceled) || errors.Is(err, ErrDamaged) {
		t.Errorf("%v", err)
	}
}

func TestABagThatWasMovedAndLinkedIsWhole(t *testing.T) {
	a, bag := mustLand(t, t.TempDir(), threeObjects())
	moved := filepath.Join(t.TempDir(), "moved")
	if err := errors.Join(os.Rename(bag, moved), os.Symlink(moved, bag)); err != nil {
		t.Fatal(err)
	}
	if err := a.Recheck(t.Context(), testKey, nil); err != nil {
		t.Error(err)
	}
}

// A copy of a bag is proven where it is, whatever archive it came from.
func TestABagIsProvenAnywhere(t *testing.T) {
	_, bag := mustLand(t, t.TempDir(), export{"a.csv": "a,b\n1,2\n"})
	copies := t.TempDir()
	for _, name := range []string{"a", "b"} {
		if err := os.CopyFS(filepath.Join(copies, "of", name), os.DirFS(bag)); err != nil {
			t.Fatal(err)
		}
	}
	for dir, want := range map[string][]string{
		copies:                          {filepath.Join(copies, "of/a"), filepath.Join(copies, "of/b")},
		filepath.Join(copies, "of/b"):   {filepath.Join(copies, "of/b")},
		filepath.Join(copies, "of/b/x"): nil,
	} {
		var found []string
		for bag, err := range Bags(dir) {
			if err == nil {
				found = append(found, bag)
			} else if want != nil {
				t.Errorf("%s: %v", dir, err)
			}
		}
		if !slices.Equal(found, want) {
			t.Errorf("%s has %q, want %q", dir, found, want)
		}
	}
	whole, damaged := filepath.Join(copies, "of/a"), filepath.Join(copies, "of/b")
	if key, err := RecheckBag(t.Context(), whole, nil); key != testKey || err != nil {
		t.Errorf("%q, %v", key, err)
	}
	rewrite(t, filepath.Join(damaged, "data/stranger"), []byte("x"))
	_, err := RecheckBag(t.Context(), damaged, nil)
	if damage, ok := errors.AsType[*Damage](err); !ok || damage.Key != damaged || !slices.Equal(damage.Problems, []string{"data/stranger is in no manifest"}) {
		t.Errorf("%v", err)
	}
}
