package archive

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// The files of a bag, as RFC 8493 names them, and our own.
const (
	bagDeclaration = "bagit.txt"
	bagInfo        = "bag-info.txt"
	manifest       = "manifest-sha256.txt"
	tagManifest    = "tagmanifest-sha256.txt"
	receiptFile    = "receipt.json"
	objectsFile    = "objects.jsonl"
	dataDir        = "data"
)

const declaration = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"

// fewObjects is how many objects a receipt lists itself. More are in
// objects.jsonl.
const fewObjects = 100

// tagFiles are those that every bag has.
var tagFiles = []string{bagDeclaration, bagInfo, manifest, tagManifest, receiptFile}

// commit writes the bag around the content and gives it its final name.
func (in *Ingest) commit(r *Receipt) error {
	disk, final := in.archive.disk, in.archive.Path(in.key)
	if err := in.writeBag(r); err != nil {
		return err
	}
	if err := disk.syncTree(in.path("bag")); err != nil {
		return err
	}
	if err := disk.mkdirs(filepath.Dir(final)); err != nil {
		return err
	}
	if err := disk.rename(in.path("bag"), final); err != nil {
		return err
	}
	if err := in.archive.settle(in.key); err != nil {
		return err
	}
	_ = in.discard() // the export has landed; Landed clears up what may be left
	return nil
}

// settle makes the final name of an export durable.
func (a *Archive) settle(key string) error {
	return a.disk.syncUp(filepath.Dir(a.Path(key)), a.dir)
}

// writeBag writes the tag files around what is in the export, and nothing
// else.
func (in *Ingest) writeBag(r *Receipt) error {
	if err := in.sweep(); err != nil {
		return err
	}
	receipt, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	tags := map[string]func(io.Writer) error{
		bagDeclaration: text([]byte(declaration)),
		bagInfo:        text(in.info(r)),
		manifest:       in.writeManifest,
		receiptFile:    text(append(receipt, '\n')),
	}
	if len(r.Objects) == 0 {
		tags[objectsFile] = in.objects.writeTo
	}
	sums := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		if sums[name], err = in.writeTag(name, tags[name]); err != nil {
			return err
		}
	}
	_, err = in.writeTag(tagManifest, text(tagManifestOf(sums)))
	return err
}

// writeTag writes a tag file and returns its SHA-256.
func (in *Ingest) writeTag(name string, write func(io.Writer) error) (string, error) {
	sum := sha256.New()
	err := in.archive.disk.write(in.path("bag", name), func(w io.Writer) error {
		return write(io.MultiWriter(w, sum))
	})
	return hex.EncodeToString(sum.Sum(nil)), err
}

func (in *Ingest) info(r *Receipt) []byte {
	return fmt.Appendf(nil, "Bag-Software-Agent: tallyman\nBagging-Date: %s\nExternal-Identifier: %s\nPayload-Oxum: %d.%d\n",
		r.Landed.Format(time.DateOnly), r.Reference, r.Bytes, r.Files)
}

// writeManifest lists the files in the order of their names.
func (in *Ingest) writeManifest(w io.Writer) error {
	var lines []string
	for o, err := range in.objects.all() {
		if err != nil {
			return err
		}
		for _, f := range o.Files {
			lines = append(lines, f.line())
		}
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[2*sha256.Size:], b[2*sha256.Size:]) })
	for _, line := range lines {
		if _, err := io.WriteString(w, line); err != nil {
			return err
		}
	}
	return nil
}

// line is the file in a manifest.
func (f File) line() string { return fmt.Sprintf("%s  %s/%s\n", f.SHA256, dataDir, f.Path) }

func tagManifestOf(sums map[string]string) []byte {
	var b []byte
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		b = fmt.Appendf(b, "%s  %s\n", sums[name], name)
	}
	return b
}
