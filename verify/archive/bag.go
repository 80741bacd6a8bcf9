package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
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
	tags, err := in.tags(r)
	if err != nil {
		return err
	}
	if err := in.sweep(); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		if err := in.archive.disk.write(in.path("bag", name), tags[name]); err != nil {
			return err
		}
	}
	return nil
}

// tags are the tag files: first those that the tag manifest lists, then the
// tag manifest.
func (in *Ingest) tags(r *Receipt) (map[string][]byte, error) {
	tags := map[string][]byte{
		bagDeclaration: []byte(declaration),
		bagInfo:        in.info(r),
		manifest:       manifestOf(r.Objects),
	}
	shown := *r
	if len(r.Objects) > fewObjects {
		shown.Objects = nil
		tags[objectsFile] = lines(r.Objects)
	}
	receipt, err := json.MarshalIndent(shown, "", "  ")
	if err != nil {
		return nil, err
	}
	tags[receiptFile] = append(receipt, '\n')
	tags[tagManifest] = tagManifestOf(tags)
	return tags, nil
}

func (in *Ingest) info(r *Receipt) []byte {
	return fmt.Appendf(nil, "Bag-Software-Agent: tallyman\nBagging-Date: %s\nExternal-Identifier: %s\nPayload-Oxum: %d.%d\n",
		r.Landed.Format(time.DateOnly), r.Reference, r.Bytes, r.Files)
}

func manifestOf(objects []Object) []byte {
	var files []File
	for _, o := range objects {
		files = append(files, o.Files...)
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	var b []byte
	for _, f := range files {
		b = fmt.Appendf(b, "%s  %s/%s\n", f.SHA256, dataDir, f.Path)
	}
	return b
}

func tagManifestOf(tags map[string][]byte) []byte {
	var b []byte
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		sum := sha256.Sum256(tags[name])
		b = fmt.Appendf(b, "%s  %s\n", hex.EncodeToString(sum[:]), name)
	}
	return b
}

func lines(objects []Object) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	for _, o := range objects {
		encoder.Encode(o) // a buffer takes all, and an Object marshals
	}
	return b.Bytes()
}
