package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"tallyman/verify/archive/internal/remains"
	"tallyman/verify/archive/ledger"
)

// A Damage says what is wrong with an export that landed. It is an ErrDamaged.
type Damage struct {
	Key       string
	Reference string // "" if it is not known
	Hidden    string // as in the receipt, if that can be read
	Absent    bool   // there is no bag in its place
	Problems  []string
}

// Error names the export and each problem.
func (d *Damage) Error() string {
	state := "damaged"
	if d.Absent {
		state = "absent"
	}
	return fmt.Sprintf("%s is %s: %s", d.Key, state, strings.Join(d.Problems, "; "))
}

// Is reports whether target is ErrDamaged.
func (d *Damage) Is(target error) bool { return target == ErrDamaged }

// RecheckBag is Recheck for a bag at any path, such as a copy. It returns the key of
// the export, or "" if the bag is damaged. The Key of a *Damage is the path then.
func RecheckBag(ctx context.Context, path string, onRead func(bytes int)) (key string, err error) {
	return recheck(ctx, path, "", onRead)
}

// recheck proves the bag at path, which is of the export with that key, or of any one
// if it is "". It returns the key.
func recheck(ctx context.Context, path, key string, onRead func(bytes int)) (_ string, err error) {
	b, name := bagCheck{listed: map[string]string{}, onRead: onRead}, cmp.Or(key, path)
	defer func() {
		if err != nil {
			err = fmt.Errorf("recheck %s: %w", name, err)
		} else if len(b.problems) > 0 {
			err = &Damage{Key: name, Problems: b.problems}
		}
	}()
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		b.problem("it is not a directory")
		return key, nil
	}
	if b.root, err = os.OpenRoot(path); err != nil {
		return key, err
	}
	defer b.root.Close()
	if err := b.check(ctx); err != nil || len(b.problems) > 0 {
		return key, err
	}
	receipt, err := readReceipt(path)
	switch {
	case err != nil:
		b.problem("%v", err)
	case key == "":
		key = receipt.Key
	case receipt.Key != key:
		b.problem("%v: %s has the receipt of another export", ErrDamaged, key)
	}
	return key, nil
}

// A bagCheck is the recheck of one bag.
type bagCheck struct {
	root     *os.Root
	listed   map[string]string // SHA-256 by path
	problems []string
	octets   int64 // of the content files
	files    int
	onRead   func(bytes int) // or nil
}

func (b *bagCheck) problem(format string, args ...any) {
	b.problems = append(b.problems, fmt.Sprintf(format, args...))
}

// check finds the problems of the bag. It fails only if ctx ends.
func (b *bagCheck) check(ctx context.Context) error {
	if text, err := b.read(bagDeclaration); err == nil && text != declaration {
		b.problem("%s is not the declaration of a BagIt 1.0 bag", bagDeclaration)
	}
	if b.readManifest(tagManifest, false) {
		for _, name := range tagFiles {
			if _, ok := b.listed[name]; !ok && name != tagManifest {
				b.problem("%s does not list %s", tagManifest, name)
			}
		}
	}
	b.readManifest(manifest, true)
	for _, path := range slices.Sorted(maps.Keys(b.listed)) {
		b.checkFile(ctx, path)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	b.checkOxum()
	return fs.WalkDir(b.root.FS(), ".", func(path string, e fs.DirEntry, err error) error {
		switch _, listed := b.listed[path]; {
		case err != nil:
			b.unreadable(path, err)
			return fs.SkipDir
		case !e.IsDir() && !listed && path != tagManifest:
			b.problem("%s is in no manifest", path)
		}
		return nil
	})
}

// readManifest reads the lines of a manifest and reports whether it could. One
// manifest lists the content, the other the tag files.
func (b *bagCheck) readManifest(name string, content bool) bool {
	text, err := b.read(name)
	if err != nil {
		b.unreadable(name, err)
		return false
	}
	for line := range strings.Lines(text) {
		sum, path, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		_, twice := b.listed[path]
		if !ok || twice || !fs.ValidPath(path) || strings.HasPrefix(path, dataDir+"/") != content {
			b.problem("%s has an invalid line: %q", name, line)
			continue
		}
		b.listed[path] = sum
	}
	return true
}

func (b *bagCheck) checkFile(ctx context.Context, path string) {
	f, err := b.open(path)
	if err != nil {
		b.unreadable(path, err)
		return
	}
	defer f.Close()
	size, sum, err := hashFile(ctx, readWatcher{f, b.onRead})
	switch {
	case err != nil:
		b.unreadable(path, err)
	case sum != b.listed[path]:
		b.problem("%s has other bytes than when it landed", path)
	}
	if strings.HasPrefix(path, dataDir+"/") {
		b.octets += size
		b.files++
	}
}

// A readWatcher tells how many bytes each read has.
type readWatcher struct {
	io.Reader
	onRead func(bytes int) // or nil
}

func (r readWatcher) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if r.onRead != nil {
		r.onRead(n)
	}
	return n, err
}

// checkOxum compares the size and the number of the content files with
// bag-info.txt.
func (b *bagCheck) checkOxum() {
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

// unreadable adds the problem that a file is missing or can't be read.
func (b *bagCheck) unreadable(path string, err error) {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		b.problem("%s is missing", path)
		return
	}
	b.problem("%s can't be read: %v", path, err)
}

func (b *bagCheck) read(name string) (string, error) {
	f, err := b.open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	return string(text), err
}

var errNotRegular = errors.New("it is not a regular file")

// open opens regular files only: a pipe would not open until someone writes to
// it.
func (b *bagCheck) open(path string) (*os.File, error) {
	info, err := b.root.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errNotRegular
	}
	return b.root.Open(path)
}

// A former is what is known of an export that is to be replaced.
type former struct {
	lock    exportLock
	there   fs.FileInfo       // what is in its place, or nil
	line    *ledger.Line      // that says that it landed, or nil
	objects map[string]Object // by name, or nil: not known
	files   map[string]string // SHA-256 by path in the bag, or nil: not known
}

// know finds out what landed: by the ledger, and by what of the bag is as that says. The
// bag may have been put aside before.
func (f *former) know(a *Archive, key string) error {
	for line, err := range a.ledger.Find(key) {
		if err != nil {
			return unreadableLedger(err)
		}
		if line.Kind == ledger.Landed || line.Kind == ledger.Adopted || line.Kind == ledger.Restored {
			f.line = &line
			break
		}
	}
	dirs, bag := []string{a.Path(key)}, ""
	if f.line != nil && f.line.Bag != "" {
		bag = f.line.Bag
		aside := filepath.Join(a.dir, damagedDir, filepath.FromSlash(path.Dir(key)))
		entries, _ := os.ReadDir(aside) // none if nothing was put aside
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), path.Base(key)+"@") {
				dirs = append(dirs, filepath.Join(aside, e.Name()))
			}
		}
	}
	for _, dir := range dirs {
		if believed := remains.Believed(dir, bag); len(believed) > 0 {
			return f.read(dir, key, believed)
		}
	}
	return nil
}

// differs says in what an object differs from what is known of it, or "".
func (f *former) differs(o Object) string {
	if was, ok := f.objects[o.Name]; f.objects != nil && !ok {
		return fmt.Sprintf("%q was not in it", o.Name)
	} else if ok && (was.Size != o.Size || was.CRC64 != o.CRC64 || was.WireSHA256 != "" && was.WireSHA256 != o.WireSHA256) {
		return fmt.Sprintf("%q has other bytes, %d in place of %d", o.Name, o.Size, was.Size)
	}
	for _, file := range o.Files {
		if f.files != nil && f.files[path.Join(dataDir, file.Path)] != file.SHA256 {
			return fmt.Sprintf("the bag had no %q with these bytes, or it is kept otherwise now", file.Path)
		}
	}
	return ""
}

// read reads which objects and files a bag had, by those of its tag files that are
// believed.
func (f *former) read(dir, key string, believed map[string]bool) error {
	if r, err := readReceipt(dir); believed[receiptFile] && err == nil && r.Key == key && (len(r.Objects) > 0 || believed[objectsFile]) {
		f.objects, f.files = map[string]Object{}, map[string]string{}
		for o, err := range r.objectsIn(dir) {
			if err != nil {
				return err
			}
			for _, file := range o.Files {
				f.files[dataDir+"/"+file.Path] = file.SHA256
			}
			f.objects[o.Name] = Object{Size: o.Size, CRC64: o.CRC64, WireSHA256: o.WireSHA256}
		}
	}
	if f.files != nil || !believed[manifest] {
		return nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	b := bagCheck{root: root, listed: map[string]string{}}
	if b.readManifest(manifest, true) && len(b.problems) == 0 {
		f.files = b.listed
	}
	return nil
}

// A Shard is one of N parts of an archive, the Kth of them, counted from 1. Each key is in
// exactly one of them, by its hash. The zero Shard has all keys.
type Shard struct{ K, N uint64 }

// Has reports whether a key is in the shard.
func (s Shard) Has(key string) bool {
	if s.N == 0 {
		return true
	}
	h := fnv.New64a()
	h.Write([]byte(key))
	return h.Sum64()%s.N == s.K-1
}

// String is the shard as lines of the ledger have it, such as 1/7, or "" for all keys.
func (s Shard) String() string {
	if s.N == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", s.K, s.N)
}

// Landings returns, in order, the keys of a shard that have landed by the ledger and were not
// removed, damaged and absent or not, and the bytes of their content as far as they are known.
func (a *Archive) Landings(s Shard) (keys []string, bytes int64, err error) {
	index, err := a.ledger.Index()
	if err != nil {
		return nil, 0, unreadableLedger(err)
	}
	all, err := index.Keys()
	if err != nil {
		return nil, 0, unreadableLedger(err)
	}
	for _, key := range all {
		if !s.Has(key) {
			continue
		}
		latest, err := index.Lookup(key)
		if err == nil && (latest.Presence == nil || latest.Presence.Kind == ledger.Removed) {
			continue
		}
		if err == nil { // else its recheck tells
			bytes += max(0, latest.Presence.Bytes)
		}
		keys = append(keys, key)
	}
	return keys, bytes, nil
}

// Rechecked returns when each of n shards was last rechecked as a whole, the first of them
// first: by itself, or with all others. It is zero for one that never was.
func (a *Archive) Rechecked(n uint64) (at []time.Time, err error) {
	at = make([]time.Time, n)
	numbers := map[string]int{}
	for k := range n {
		numbers[Shard{k + 1, n}.String()] = int(k)
	}
	for line, err := range a.ledger.OfKind(ledger.Rechecked) {
		if err != nil {
			return nil, unreadableLedger(err)
		}
		k, known := numbers[line.Part]
		for i := range at {
			if line.Part == "" || known && i == k {
				at[i] = line.Line.At
			}
		}
	}
	return at, nil
}
