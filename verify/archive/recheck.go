package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
)

// A Damage says what is wrong with an export that landed. It is an ErrDamaged.
type Damage struct {
	Key      string
	Problems []string
}

// Error names the export and each problem.
func (d *Damage) Error() string {
	return fmt.Sprintf("%s is damaged: %s", d.Key, strings.Join(d.Problems, "; "))
}

// Is reports whether target is ErrDamaged.
func (d *Damage) Is(target error) bool { return target == ErrDamaged }

// Recheck proves again that an export that landed is as it was then: that
// every file of its bag is there with the bytes that its manifests say, and no
// other. What is wrong is a *Damage; an export that has not landed is
// fs.ErrNotExist. It opens nothing outside the bag.
func (a *Archive) Recheck(ctx context.Context, key string) error {
	problems, err := a.recheck(ctx, key)
	if err != nil {
		return fmt.Errorf("recheck %s: %w", key, err)
	}
	if len(problems) > 0 {
		return &Damage{key, problems}
	}
	return nil
}

func (a *Archive) recheck(ctx context.Context, key string) ([]string, error) {
	landed, err := a.landed(key)
	switch {
	case err != nil:
		return nil, err
	case !landed:
		return nil, fs.ErrNotExist
	case !isDir(a.Path(key)):
		return []string{"it is not a directory"}, nil
	}
	root, err := os.OpenRoot(a.Path(key))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	b := bag{root: root, listed: map[string]string{}}
	if err := b.check(ctx); err != nil || len(b.problems) > 0 {
		return b.problems, err
	}
	if _, err := a.Receipt(key); err != nil {
		b.problem("%v", err)
	}
	return b.problems, nil
}

// A bag is one being checked.
type bag struct {
	root     *os.Root
	listed   map[string]string // path → SHA-256
	problems []string
	octets   int64
	files    int
}

func (b *bag) problem(format string, args ...any) {
	b.problems = append(b.problems, fmt.Sprintf(format, args...))
}

// check fails only if ctx ends.
func (b *bag) check(ctx context.Context) error {
	b.checkDeclaration()
	if b.readManifest(tagManifest, false) {
		b.checkListed()
	}
	b.readManifest(manifest, true)
	for _, path := range slices.Sorted(maps.Keys(b.listed)) {
		b.checkFile(ctx, path)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	b.checkOxum()
	b.checkStrangers()
	return nil
}

func (b *bag) checkDeclaration() {
	if text, err := b.read(bagDeclaration); err == nil && text != declaration {
		b.problem("%s is not the declaration of a BagIt 1.0 bag", bagDeclaration)
	}
}

// readManifest takes in a manifest's lines, if it can be read. One manifest is
// for data, the other for all else.
func (b *bag) readManifest(name string, data bool) bool {
	text, err := b.read(name)
	if err != nil {
		b.cannot(name, err)
		return false
	}
	for line := range strings.Lines(text) {
		sum, path, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		_, twice := b.listed[path]
		if !ok || twice || !fs.ValidPath(path) || strings.HasPrefix(path, dataDir+"/") != data {
			b.problem("%s has a line that it may not have: %q", name, line)
			continue
		}
		b.listed[path] = sum
	}
	return true
}

// checkListed finds what the tag manifest must list and does not.
func (b *bag) checkListed() {
	for _, name := range tagFiles {
		if _, ok := b.listed[name]; !ok && name != tagManifest {
			b.problem("%s does not list %s", tagManifest, name)
		}
	}
}

func (b *bag) checkFile(ctx context.Context, path string) {
	f, err := b.open(path)
	if err != nil {
		b.cannot(path, err)
		return
	}
	defer f.Close()
	size, sum, err := hashFile(cancelable{ctx, f})
	switch {
	case err != nil:
		b.cannot(path, err)
	case sum != b.listed[path]:
		b.problem("%s has other bytes than when it landed", path)
	}
	if strings.HasPrefix(path, dataDir+"/") {
		b.octets += size
		b.files++
	}
}

type cancelable struct {
	ctx context.Context
	r   io.Reader
}

func (c cancelable) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

func (b *bag) checkOxum() {
	text, err := b.read(bagInfo)
	if err != nil {
		return // a problem already, by the tag manifest
	}
	oxum := fmt.Sprintf("%d.%d", b.octets, b.files)
	for line := range strings.Lines(text) {
		if said, ok := strings.CutPrefix(strings.TrimSpace(line), "Payload-Oxum: "); ok {
			if said != oxum {
				b.problem("the payload is %s, and %s says %s", oxum, bagInfo, said)
			}
			return
		}
	}
	b.problem("%s has no Payload-Oxum", bagInfo)
}

// checkStrangers finds what no manifest lists.
func (b *bag) checkStrangers() {
	_ = fs.WalkDir(b.root.FS(), ".", func(path string, e fs.DirEntry, err error) error {
		switch _, listed := b.listed[path]; {
		case err != nil:
			b.cannot(path, err)
			return fs.SkipDir
		case !e.IsDir() && !listed && path != tagManifest:
			b.problem("%s is in no manifest", path)
		}
		return nil
	})
}

func (b *bag) cannot(path string, err error) {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		b.problem("%s is missing", path)
		return
	}
	b.problem("%s can't be read: %v", path, err)
}

func (b *bag) read(name string) (string, error) {
	f, err := b.open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	return string(text), err
}

var errNoFile = errors.New("it is not a regular file")

// open opens regular files only: a pipe would not open until someone writes to
// it.
func (b *bag) open(path string) (*os.File, error) {
	info, err := b.root.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errNoFile
	}
	return b.root.Open(path)
}
