package archive

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"tallyman/verify"
	"tallyman/verify/archive/internal/durable"
)

// An objectIndex lists the objects of an ingest that are done: received, proven
// and decoded. An object's entry is written after its files. An export may have
// more objects than fit in memory, so only the places of the entries are kept
// there.
type objectIndex struct {
	mu      sync.Mutex
	file    *os.File
	entries map[string]objectEntry // by the name of the object
	synced  time.Time
}

// An objectEntry is the place of an object's line in the file.
type objectEntry struct {
	off    int64
	size   int
	line   []byte // of an object that is done and not persisted, else nil
	wanted bool   // this attempt's export has the object
}

// load opens the index and checks it. An object is dropped, to be received
// again, if its files are not as its last line says. A line that was cut short is
// ignored.
func (x *objectIndex) load(ctx context.Context, step durable.Step, path string, root *os.Root) (err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.entries = map[string]objectEntry{}
	if err := step("create", path); err != nil {
		return err
	}
	if x.file, err = os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644); err != nil {
		return err
	}
	in := bufio.NewReader(x.file)
	for off := int64(0); err == nil; {
		var line []byte
		line, err = in.ReadBytes('\n')
		var o struct{ Name string }
		if json.Unmarshal(line, &o) == nil && o.Name != "" {
			x.entries[o.Name] = objectEntry{off: off, size: len(line)}
		}
		off += int64(len(line))
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	for name := range x.entries {
		o, _, err := x.read(name)
		proven := o.CRC64 != "" && len(o.Checks) > 0 // any other line with a name would pass for an object without files
		for i := 0; err == nil && proven && i < len(o.Files); i++ {
			err = o.Files[i].check(ctx, step, root)
		}
		switch {
		case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ENOMEM):
			return fmt.Errorf("check what was received of %s: %w", name, err) // out of file descriptors, which says nothing of the file
		case err != nil || !proven:
			delete(x.entries, name)
		}
	}
	return context.Cause(ctx) // which may be why an object was dropped
}

// read reads an object and its line.
func (x *objectIndex) read(name string) (o Object, line []byte, err error) {
	if line = x.entries[name].line; line == nil {
		line = make([]byte, x.entries[name].size)
		_, err = x.file.ReadAt(line, x.entries[name].off)
	}
	if err == nil {
		err = json.Unmarshal(line, &o)
	}
	if err != nil {
		return o, nil, fmt.Errorf("read what was received of %s: %w", name, err)
	}
	return o, line, nil
}

// syncInterval bounds the work that a power cut may cost: objects whose lines
// are not synced are received again.
const syncInterval = time.Second

// add writes the entry of an object that is done and that this attempt wants.
// The line is durable, unless another was synced a moment ago. If nothing of the
// export is persisted, the entry is kept in memory.
func (x *objectIndex) add(step durable.Step, o Object) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	b, err := json.Marshal(o)
	if err != nil {
		return err
	}
	if x.file == nil {
		x.entries[o.Name] = objectEntry{line: append(b, '\n'), wanted: true}
		return nil
	}
	if err := step("write", x.file.Name()); err != nil {
		return err
	}
	end, err := x.file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if _, err = x.file.Write(slices.Concat([]byte("\n"), b, []byte("\n"))); err != nil { // a line cut short must not swallow this one
		return err
	}
	if time.Since(x.synced) >= syncInterval {
		err := step.Sync(x.file)
		x.synced = time.Now()
		if err != nil {
			return err
		}
	}
	x.entries[o.Name] = objectEntry{off: end + 1, size: len(b) + 1, wanted: true}
	return nil
}

// all yields the objects that are done, ordered by name. It ends after the first
// error.
func (x *objectIndex) all() iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		for _, name := range slices.Sorted(maps.Keys(x.entries)) {
			if o, _, err := x.read(name); !yield(o, err) || err != nil {
				return
			}
		}
	}
}

// WriteTo writes a line for each object that is done, ordered by name.
func (x *objectIndex) WriteTo(w io.Writer) (n int64, err error) {
	for _, name := range slices.Sorted(maps.Keys(x.entries)) {
		_, line, err := x.read(name)
		if err != nil {
			return n, err
		}
		written, err := w.Write(line)
		n += int64(written)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// check hashes a content file and compares it with what was written down.
func (f File) check(ctx context.Context, step durable.Step, root *os.Root) error {
	if err := step("read", filepath.Join(root.Name(), f.Path)); err != nil {
		return err
	}
	r, err := root.Open(filepath.FromSlash(f.Path))
	if err != nil {
		return err
	}
	defer r.Close()
	size, sum, err := hashFile(ctx, r)
	if err == nil && (size != f.Size || sum != f.SHA256) {
		err = ErrDamaged
	}
	return err
}

// hashFile returns the size and the SHA-256 of what r has. It ends with ctx.
func hashFile(ctx context.Context, r io.Reader) (size int64, sum string, err error) {
	h := sha256.New()
	for err == nil {
		if err := ctx.Err(); err != nil {
			return size, "", err
		}
		var n int64
		n, err = io.CopyN(h, r, 1<<20)
		size += n
	}
	if !errors.Is(err, io.EOF) {
		return size, "", err
	}
	return size, hex.EncodeToString(h.Sum(nil)), nil
}

// A Progress is how far an export has come that has not landed.
type Progress struct {
	Bytes   int64 // as transferred, that are here
	Objects int64 // that are done
	Size    int64 // of all its objects as transferred, or verify.Unknown
	All     int64 // objects that it has, or verify.Unknown
}

// Received returns how many bytes of an export as transferred are here, and how many
// of its objects are done, as Progress does.
func (a *Archive) Received(key string) (bytes, objects int64) {
	p := a.Progress(key)
	return p.Bytes, p.Objects
}

// Progress tells how far an export has come, by the object index, the part indexes and the
// pins. It takes no lock, checks no bytes, and ignores what it can't read. If an object is
// done and has a part index too, the part index counts: the object is being received again.
func (a *Archive) Progress(key string) Progress {
	dir := a.ingestPath(key)
	sizes := doneSizes(dir)
	p := Progress{Objects: int64(len(sizes)), Size: verify.Unknown, All: verify.Unknown}
	entries, _ := os.ReadDir(filepath.Join(dir, partsDir))
	for _, e := range entries {
		name, isIndex := strings.CutSuffix(e.Name(), partIndexSuffix)
		if !isIndex {
			continue
		}
		received, first := readProgress(filepath.Join(dir, partsDir, e.Name()))
		if len(received) > 0 {
			sizes[name] = 0
		}
		for _, part := range received {
			sizes[name] += part.n
		}
		if size := cmp.Or(first.Store, &Promise{}).Size; first.Single {
			if p.All = 1; cmp.Or(size, first.Job.Size) != nil {
				p.Size = *cmp.Or(size, first.Job.Size)
			}
		}
	}
	for _, size := range sizes {
		p.Bytes += size
	}
	if p.All == verify.Unknown {
		p.Size, p.All = pinnedSize(filepath.Join(dir, pinsFile))
	}
	return p
}

// doneSizes are the sizes of the objects that are done, by hashName.
func doneSizes(dir string) map[string]int64 {
	sizes := map[string]int64{}
	f, err := os.Open(filepath.Join(dir, objectsFile))
	if err != nil {
		return sizes
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, math.MaxInt) // a zip may have a million files
	for lines.Scan() {
		var o struct {
			Name string `json:"name"`
			Size int64  `json:"size"`
		}
		if json.Unmarshal(lines.Bytes(), &o) == nil && o.Name != "" {
			sizes[hashName(o.Name)] = max(o.Size, 0)
		}
	}
	return sizes
}

// readProgress reads a part index: what was received, each byte once even if it is listed
// twice, and the last line that tells of the object.
func readProgress(path string) (received parts, first partEntry) {
	f, err := os.Open(path)
	if err != nil {
		return nil, first
	}
	defer f.Close()
	for entry, err := range readPartIndex(f) {
		switch {
		case err != nil:
		case entry.Store != nil:
			first = entry
		case entry.isIn(math.MaxInt64):
			received.add(nil, entry)
		}
	}
	return received, first
}

// maxPins is how many bytes of pins pinnedSize reads: those of thousands of objects.
const maxPins = 1 << 20

// pinnedSize is the size of all pinned objects and their number, each as far as it is known.
// Pins of very many objects are not read.
func pinnedSize(path string) (size, objects int64) {
	size, objects = 0, verify.Unknown
	info, err := os.Stat(path)
	if err != nil || info.Size() > maxPins {
		return verify.Unknown, verify.Unknown
	}
	f, err := os.Open(path)
	if err != nil {
		return verify.Unknown, verify.Unknown
	}
	defer f.Close()
	lines := json.NewDecoder(bufio.NewReader(f))
	for objects == verify.Unknown {
		var p pin
		switch err := lines.Decode(&p); {
		case err != nil:
			return verify.Unknown, verify.Unknown
		case p.Total != nil:
			objects = int64(*p.Total)
		case p.Want.Size == nil:
			size = verify.Unknown
		case size != verify.Unknown:
			size += *p.Want.Size
		}
	}
	return size, objects
}
