package archive

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
)

// progress is how much of an export is here, by what the files of its ingest
// say. The bytes are not checked.
type progress struct {
	sizes map[string]int64 // received bytes of each object, by the name of its partial
	done  int64            // objects in the object index
}

// Received is how many bytes of an export as transferred are here, by what is
// written down of them. It takes no lock.
func (a *Archive) Received(key string) int64 { return readProgress(a.ingestPath(key)).bytes() }

func (p progress) bytes() (n int64) {
	for _, size := range p.sizes {
		n += size
	}
	return n
}

// readProgress ignores what it can't read. If an object is done and has a part
// index too, the part index counts: the object is being received again.
func readProgress(dir string) progress {
	p := progress{sizes: map[string]int64{}}
	if f, err := os.Open(filepath.Join(dir, objectsFile)); err == nil {
		defer f.Close()
		for line := range lines(f) {
			var o struct {
				Name string `json:"name"`
				Size int64  `json:"size"`
			}
			if json.Unmarshal(line, &o) == nil && o.Name != "" {
				p.sizes[hashName(o.Name)] = max(o.Size, 0)
			}
		}
	}
	p.done = int64(len(p.sizes))
	entries, _ := os.ReadDir(filepath.Join(dir, partsDir))
	for _, e := range entries {
		name, isIndex := strings.CutSuffix(e.Name(), partIndexSuffix)
		if !isIndex {
			continue
		}
		if n := indexedBytes(filepath.Join(dir, partsDir, e.Name())); n > 0 {
			p.sizes[name] = n
		}
	}
	return p
}

// indexedBytes is how many bytes a part index lists. Bytes that are listed twice
// count once.
func indexedBytes(path string) int64 {
	f, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer f.Close()
	var received parts
	for e, err := range readPartIndex(f) {
		if err == nil && e.isIn(math.MaxInt64) {
			received.add(nil, e)
		}
	}
	return received.received()
}
