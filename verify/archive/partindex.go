package archive

import (
	"bufio"
	"encoding/json"
	"fmt"
	"hash/crc64"
	"io"
	"iter"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"tallyman/verify"
)

// partIndexSuffix ends the names of part indexes.
const partIndexSuffix = ".map"

// A partEntry is a line of a part index: a range that was received. The first
// line has Store, and says what the store and the job promised of the object, and
// for which hidden part of the reference.
type partEntry struct {
	Store  *Promise `json:"store,omitempty"`
	Job    Promise  `json:"job,omitzero"`
	Hidden string   `json:"hidden,omitempty"`
	Off    int64    `json:"off"`
	Len    int64    `json:"len"`
	CRC64  string   `json:"crc64,omitempty"`
}

// readPartIndex yields the lines of a part index that are valid JSON. Lines
// before the first promise of a store mean nothing and are left out. It ends
// after the first error.
func readPartIndex(r io.Reader) iter.Seq2[partEntry, error] {
	return func(yield func(partEntry, error) bool) {
		begun := false
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, math.MaxInt) // a power cut may leave a long line of zeros
		for lines.Scan() {
			var e partEntry
			if json.Unmarshal(lines.Bytes(), &e) != nil {
				continue
			}
			begun = begun || e.Store != nil
			if begun && !yield(e, nil) {
				return
			}
		}
		if lines.Err() != nil {
			yield(partEntry{}, lines.Err())
		}
	}
}

// addToIndex adds a line to the part index.
func (p *Partial) addToIndex(e partEntry) error {
	if p.index == nil { // the object is in memory
		return nil
	}
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if err := p.in.archive.disk.step("write", p.index.Name()); err != nil {
		return err
	}
	if _, err := p.index.Write(slices.Concat([]byte("\n"), line, []byte("\n"))); err != nil {
		return fmt.Errorf("write the part index of %s: %w", p.name, err)
	}
	return nil
}

// isIn reports whether the entry lies in an object of that size. An object whose
// size is not known has one entry, from its beginning.
func (e partEntry) isIn(size int64) bool {
	if size == verify.Unknown {
		return e.Off == 0 && e.Len > 0
	}
	return e.Off >= 0 && e.Len > 0 && e.Len <= size-e.Off
}

var buffers = sync.Pool{New: func() any { return new([128 << 10]byte) }}

// matches hashes the bytes that the entry lists, and reports whether they are in
// the file.
func (e partEntry) matches(file io.ReaderAt) bool {
	buffer := buffers.Get().(*[128 << 10]byte)
	defer buffers.Put(buffer)
	crc := crc64.New(verify.ECMA)
	n, err := io.CopyBuffer(crc, io.NewSectionReader(file, e.Off, e.Len), buffer[:])
	return err == nil && n == e.Len && strconv.FormatUint(crc.Sum64(), 10) == e.CRC64
}

// Received returns how many bytes of an export as transferred are here, and how many
// of its objects are done, by the object index and the part indexes. It takes no lock,
// checks no bytes, and ignores what it can't read. If an object is done and has a part
// index too, the part index counts: the object is being received again.
func (a *Archive) Received(key string) (bytes, objects int64) {
	dir := a.ingestPath(key)
	sizes := map[string]int64{} // by hashName of the object
	if f, err := os.Open(filepath.Join(dir, objectsFile)); err == nil {
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
	}
	objects = int64(len(sizes))
	entries, _ := os.ReadDir(filepath.Join(dir, partsDir))
	for _, e := range entries {
		name, isIndex := strings.CutSuffix(e.Name(), partIndexSuffix)
		if !isIndex {
			continue
		}
		f, err := os.Open(filepath.Join(dir, partsDir, e.Name()))
		if err != nil {
			continue
		}
		var received parts // each byte once, even if it is listed twice
		for entry, err := range readPartIndex(f) {
			if err == nil && entry.isIn(math.MaxInt64) {
				received.add(nil, entry)
			}
		}
		f.Close()
		if len(received) > 0 {
			sizes[name] = 0
		}
		for _, part := range received {
			sizes[name] += part.n
		}
	}
	for _, size := range sizes {
		bytes += size
	}
	return bytes, objects
}
