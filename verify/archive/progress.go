package archive

import (
	"bufio"
	"cmp"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"

	"tallyman/verify"
)

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

// pinnedSize is the size of all pinned objects and their number, each as far as it is known.
// Pins of very many objects are not read.
func pinnedSize(path string) (size, objects int64) {
	size, objects = 0, verify.Unknown
	info, err := os.Stat(path)
	if err != nil || info.Size() > maxSmallFile {
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
