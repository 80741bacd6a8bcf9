package sandbox

import (
	"bytes"
	"cmp"
	"path"
	"time"
)

// A File is what a job, an order or a task made, or an object of a bucket: rows
// that Generate makes, compressed, or Body as it is. The method that adds it
// panics if Format or Codec is none of those named here.
type File struct {
	Name   string // "" = the job's name with ".csv.zst", ".json.gzip" and the like. An object has a key instead
	Rows   int    // with a Body: how many it is said to hold
	Format string // csv (as is ""), json
	Codec  string // zstd, gzip, lz4, none (as is "")
	Seed   uint64
	Body   []byte // the bytes to send instead of generated rows. nil = generate; an empty body is a body

	ContentType     string    // "" = by the name
	ContentEncoding string    // stored with the object, and sent with it
	LastModified    time.Time // zero = when the file was made
	StorageClass    string    // "" = Standard. An object of Archive, ColdArchive or DeepColdArchive can't be read
	Encryption      string    // of OBS: kms, AES256; the ETag is then no hash of the bytes. "" = none

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

// extension is SLS's: of gzip it makes ".gzip", not ".gz".
func (f File) extension() string {
	return "." + f.format() + codecs[f.codec()].extension
}

func sameBody(a, b []byte) bool {
	return (a == nil) == (b == nil) && bytes.Equal(a, b)
}
