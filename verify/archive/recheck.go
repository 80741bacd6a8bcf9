package archive

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A Damage says what is wrong with an export that landed. It is an ErrDamaged.
type Damage struct {
	Key      string
	Problems []string
}

func (d *Damage) Error() string {
	return fmt.Sprintf("%s is damaged: %s", d.Key, strings.Join(d.Problems, "; "))
}

// Is reports whether target is ErrDamaged.
func (d *Damage) Is(target error) bool { return target == ErrDamaged }

// Recheck proves again that an export that landed is as it was then: that
// every file of its bag is there with the bytes that its manifests say, and no
// other. What is wrong is a *Damage; an export that has not landed is
// fs.ErrNotExist.
func (a *Archive) Recheck(ctx context.Context, key string) error {
	landed, err := a.landed(key)
	if err != nil {
		return fmt.Errorf("recheck %s: %w", key, err)
	}
	if !landed {
		return fmt.Errorf("recheck %s: %w", key, fs.ErrNotExist)
	}
	b := bag{dir: a.Path(key), listed: map[string]string{}}
	if err := b.check(ctx); err != nil {
		return fmt.Errorf("recheck %s: %w", key, err)
	}
	if _, err := a.Receipt(key); errors.Is(err, ErrDamaged) {
		b.problem("%v", err)
	}
	if len(b.problems) > 0 {
		return &Damage{key, b.problems}
	}
	return nil
}

// A bag is one being checked.
type bag struct {
	dir      string
	listed   map[string]string // path → SHA-256
	problems []string
	octets   int64
	files    int
}

func (b *bag) problem(format string, args ...any) {
	b.problems = append(b.problems, fmt.Sprintf(format, args...))
}

func (b *bag) check(ctx context.Context) error {
	b.checkDeclaration()
	b.readManifest(tagManifest, false)
	b.readManifest(manifest, true)
	for _, path := range slices.Sorted(maps.Keys(b.listed)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		b.checkFile(path)
	}
	b.checkOxum()
	return b.checkStrangers()
}

func (b *bag) checkDeclaration() {
	text, err := os.ReadFile(filepath.Join(b.dir, bagDeclaration))
	if err != nil || !strings.HasPrefix(string(text), "BagIt-Version: 1.0\n") {
		b.problem("%s is not a BagIt 1.0 declaration", bagDeclaration)
	}
}

// readManifest takes in a manifest's lines. One manifest is for data, the
// other for all else.
func (b *bag) readManifest(name string, data bool) {
	text, err := os.ReadFile(filepath.Join(b.dir, name))
	if err != nil {
		b.problem("%s is missing", name)
		return
	}
	for line := range strings.Lines(string(text)) {
		sum, path, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		if !ok || !filepath.IsLocal(path) || strings.HasPrefix(path, dataDir+"/") != data {
			b.problem("%s has a line that it may not have", name)
			continue
		}
		b.listed[path] = sum
	}
}

func (b *bag) checkFile(path string) {
	f, err := os.Open(filepath.Join(b.dir, path))
	if err != nil {
		b.problem("%s is missing", path)
		return
	}
	defer f.Close()
	size, sum, err := hashFile(f)
	switch {
	case err != nil:
		b.problem("%s can't be read: %v", path, err)
	case sum != b.listed[path]:
		b.problem("%s has other bytes than when it landed", path)
	}
	if strings.HasPrefix(path, dataDir+"/") {
		b.octets += size
		b.files++
	}
}

func (b *bag) checkOxum() {
	f, err := os.Open(filepath.Join(b.dir, bagInfo))
	if err != nil {
		return // its absence is a problem already, by the tag manifest
	}
	defer f.Close()
	oxum := fmt.Sprintf("%d.%d", b.octets, b.files)
	for s := bufio.NewScanner(f); s.Scan(); {
		if said, ok := strings.CutPrefix(s.Text(), "Payload-Oxum: "); ok {
			if said != oxum {
				b.problem("the payload is %s, not %s", oxum, said)
			}
			return
		}
	}
	b.problem("%s has no Payload-Oxum", bagInfo)
}

// checkStrangers finds what no manifest lists.
func (b *bag) checkStrangers() error {
	for _, name := range []string{bagDeclaration, bagInfo, manifest, receiptFile} {
		if _, ok := b.listed[name]; !ok {
			b.problem("%s does not list %s", tagManifest, name)
		}
	}
	return walkFiles(b.dir, func(path string) error {
		if _, ok := b.listed[path]; !ok && path != tagManifest {
			b.problem("%s is in no manifest", path)
		}
		return nil
	})
}
