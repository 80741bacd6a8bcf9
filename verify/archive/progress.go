package archive

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
)

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
