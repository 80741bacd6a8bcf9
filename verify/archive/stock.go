package archive

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
)

// A stock is how much of an export is here, as far as the files of its ingest
// tell: they are not held against the bytes.
type stock struct {
	sizes map[string]int64 // of each object what is here, by the name of its partial
	done  int64            // objects
}

// Received is how many bytes of an export as transferred are here so far,
// whoever holds it. It believes what is written down.
func (a *Archive) Received(key string) int64 {
	return takeStock(filepath.Join(a.dir, ingestDir, hashName(key))).bytes()
}

func (s stock) bytes() (n int64) {
	for _, size := range s.sizes {
		n += size
	}
	return n
}

// takeStock takes what can't be read for nothing. Of an object that is done
// and on a map too, the map counts: it is being received again.
func takeStock(dir string) stock {
	s := stock{sizes: map[string]int64{}}
	eachLine(filepath.Join(dir, objectsFile), func(line []byte) {
		var o struct {
			Name string `json:"name"`
			Size int64  `json:"size"`
		}
		if json.Unmarshal(line, &o) == nil && o.Name != "" {
			s.sizes[hashName(o.Name)] = max(o.Size, 0)
		}
	})
	s.done = int64(len(s.sizes))
	partials, _ := os.ReadDir(filepath.Join(dir, partsDir))
	for _, e := range partials {
		name, isMap := strings.CutSuffix(e.Name(), ".map")
		if n := sizeOfMap(filepath.Join(dir, partsDir, e.Name())); isMap && n > 0 {
			s.sizes[name] = n
		}
	}
	return s
}

// sizeOfMap is how many bytes are on a map, those listed twice once.
func sizeOfMap(path string) int64 {
	f, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer f.Close()
	var here parts
	for e, err := range readMap(f) {
		if err == nil && e.isIn(math.MaxInt64) {
			here.recall(nil, e)
		}
	}
	return here.received()
}

// hashName is a file name for a key or an object's name: 32 hex digits of its SHA-256.
func hashName(object string) string {
	sum := sha256.Sum256([]byte(object))
	return hex.EncodeToString(sum[:16])
}

func eachLine(path string, do func([]byte)) {
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	for line := range lines(f) {
		do(line)
	}
}
