package sandbox

import (
	"archive/zip"
	"bytes"
	"time"
)

// An ZipEntry is a file in a zip.
type ZipEntry struct {
	Name    string
	Content []byte
}

// Zip returns a zip of those entries, in that order. The same entries give the
// same bytes. It looks at no name: what is unfit to be unpacked goes in too.
func Zip(entries ...ZipEntry) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, e := range entries {
		w := must(z.CreateHeader(&zip.FileHeader{Name: e.Name, Method: zip.Deflate, Modified: time.Unix(firstTime, 0).UTC()}))
		must(w.Write(e.Content))
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}
