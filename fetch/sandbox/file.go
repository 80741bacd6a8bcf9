package sandbox

import (
	"bytes"
	"cmp"
	"path"
	"time"
)

// A File is what a job or an order made, or an object of a bucket: rows that
// Generate makes, compressed, or Body as it is. Whatever adds one panics if
// Format or Codec is none of those named here.
type File struct {
	Name   string // "" = the job's name with ".csv.zst", ".json.gzip" and the like; not an object's, which has a key
	Rows   int    // with a Body: how many it is said to hold
	Format string // csv (as is ""), json
	Codec  string // zstd, gzip, lz4, none (as is "")
	Seed   uint64
	Body   []byte // the bytes to be sent, instead of generated rows; empty is a body too, nil is none

	ContentType     string    // "" = by the name
	ContentEncoding string    // stored with the object, and sent with it
	LastModified    time.Time // zero = when it came to be there
	StorageClass    string    // "" = Standard. Of Archive, ColdArchive and DeepColdArchive the bytes are not given
	Encryption      string    // as OBS tells it, whose ETag is then no hash of the bytes: kms, AES256. "" = none

	Gone   bool // the store has it no more: 404 NoSuchKey
	Faults Faults
}

var contentTypes = map[string]string{
	".csv":  "text/csv",
	".json": "application/json",
	".txt":  "text/plain",
	".gz":   "application/gzip",
	".zip":  "application/zip",
}

func (f File) contentType(name string) string {
	return cmp.Or(f.ContentType, contentTypes[path.Ext(name)], "application/octet-stream")
}

func (f File) format() string       { return cmp.Or(f.Format, "csv") }
func (f File) codec() string        { return cmp.Or(f.Codec, "none") }
func (f File) storageClass() string { return cmp.Or(f.StorageClass, "Standard") }

// extension is the vendor's: of gzip it makes ".gzip", not ".gz".
func (f File) extension() string {
	return "." + f.format() + codecs[f.codec()].extension
}

func (f File) wire() []byte {
	if f.Body != nil {
		return f.Body
	}
	return Compress(f.codec(), Generate(f.Rows, f.format(), f.Seed))
}

func (f File) sameObject(g File) bool {
	return f.Rows == g.Rows && f.format() == g.format() && f.codec() == g.codec() && f.Seed == g.Seed &&
		f.Faults.MultipartETag == g.Faults.MultipartETag && f.LastModified.Equal(g.LastModified) &&
		sameBody(f.Body, g.Body) && sameBody(f.Faults.Replace.Body, g.Faults.Replace.Body)
}

func sameBody(a, b []byte) bool {
	return (a == nil) == (b == nil) && bytes.Equal(a, b)
}
