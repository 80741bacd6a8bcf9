package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
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

// tagFiles are the files that every bag has beside its content.
var tagFiles = []string{bagDeclaration, bagInfo, manifest, tagManifest, receiptFile}

// writeBag writes the tag files around the content of the export, and removes
// everything else. It returns them open, since they are not durable yet, and the
// SHA-256 of the tag manifest, in hex.
func (in *Ingest) writeBag(r *Receipt) (files []*os.File, bag string, err error) {
	if _, err := in.openBag(); err != nil {
		return nil, "", err
	}
	if in.file != nil {
		if err := in.cleanBag(); err != nil {
			return nil, "", err
		}
	}
	receipt, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, "", err
	}
	var content []string // the lines of the manifest, ordered by the names of the files
	for o, err := range in.objects.all() {
		if err != nil {
			return nil, "", err
		}
		for _, f := range o.Files {
			content = append(content, fmt.Sprintf("%s  %s/%s\n", f.SHA256, dataDir, f.Path))
		}
	}
	slices.SortFunc(content, func(a, b string) int { return strings.Compare(a[2*sha256.Size:], b[2*sha256.Size:]) })
	info := fmt.Sprintf("Bag-Software-Agent: tallyman\nBagging-Date: %s\nExternal-Identifier: %s\nPayload-Oxum: %d.%d\n",
		r.Landed.Format(time.DateOnly), r.Reference, r.Bytes, r.Files)
	tags := map[string]io.WriterTo{
		bagDeclaration: strings.NewReader(declaration),
		bagInfo:        strings.NewReader(info),
		manifest:       strings.NewReader(strings.Join(content, "")),
		receiptFile:    bytes.NewReader(append(receipt, '\n')),
	}
	if len(r.Objects) == 0 {
		tags[objectsFile] = &in.objects
	}
	var sums bytes.Buffer // of the tag files, which the tag manifest lists
	names := append(slices.Sorted(maps.Keys(tags)), tagManifest)
	tags[tagManifest] = &sums
	for _, name := range names {
		sum := sha256.New()
		f, err := in.archive.disk.create(filepath.Join(in.bag, name), tags[name], sum)
		if err != nil {
			return files, "", err
		}
		files, bag = append(files, f), hex.EncodeToString(sum.Sum(nil))
		fmt.Fprintf(&sums, "%s  %s\n", bag, name)
	}
	return files, bag, nil
}
