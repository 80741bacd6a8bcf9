package archive

import (
	"bufio"
	"encoding/json"
	"errors"
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
// line has Store, and says what the store and the job promised of the object.
type partEntry struct {
	Store *Promise `json:"store,omitempty"`
	Job   Promise  `json:"job,omitzero"`
	Off   int64    `json:"off"`
	Len   int64    `json:"len"`
	CRC64 string   `json:"crc64,omitempty"`
}

// readPartIndex yields the lines of a part index that are valid JSON. Lines
// before the first promise of a store mean nothing and are left out. It ends
// after the first error.
func readPartIndex(r io.Reader) iter.Seq2[partEntry, error] {
	return func(yield func(partEntry, error) bool) {
		begun := false
		for line, err := range lines(r) {
			var e partEntry
			if err == nil && json.Unmarshal(line, &e) != nil {
				continue
			}
			begun = begun || e.Store != nil
			if (begun || err != nil) && !yield(e, err) {
				return
			}
		}
	}
}

// lines yields each line that is not blank, the last one even if it is cut
// short. It ends after the first error.
func lines(r io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for in := bufio.NewReader(r); ; {
			line, err := in.ReadBytes('\n')
			ended := errors.Is(err, io.EOF)
			if ended {
				err = nil
			}
			if (len(line) > 1 || err != nil) && !yield(line, err) || ended || err != nil {
				return
			}
		}
	}
}

// addToIndex adds a line to the part index.
func (p *Partial) addToIndex(e partEntry) error {
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

// Received is how many bytes of an export as transferred are here, by what is
// written down of them. It takes no lock and checks no bytes.
func (a *Archive) Received(key string) int64 {
	bytes, _ := readProgress(a.ingestPath(key))
	return bytes
}

// readProgress returns how many bytes of an export are here, and how many objects
// are done, by the object index and the part indexes. It ignores what it can't
// read. If an object is done and has a part index too, the part index counts: the
// object is being received again.
func readProgress(dir string) (bytes, done int64) {
	sizes := map[string]int64{} // by hashName of the object
	if f, err := os.Open(filepath.Join(dir, objectsFile)); err == nil {
		defer f.Close()
		for line := range lines(f) {
			var o struct {
				Name string `json:"name"`
				Size int64  `json:"size"`
			}
			if json.Unmarshal(line, &o) == nil && o.Name != "" {
				sizes[hashName(o.Name)] = max(o.Size, 0)
			}
		}
	}
	done = int64(len(sizes))
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
	return bytes, done
}
