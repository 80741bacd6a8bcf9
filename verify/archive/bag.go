package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
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

// tagFiles are the files that every bag has beside its content.
var tagFiles = []string{bagDeclaration, bagInfo, manifest, tagManifest, receiptFile}

// Commit makes the export land: when Commit returns, the export is under its
// final name and durable. If Commit fails, the export is absent, or complete but
// perhaps not durable; the next attempt finds out which. The verdicts on the
// bytes come from the objects that are done. Of those, the export gets the ones
// for which this attempt called Done or Finish. Commit is called once, when all
// Partials are closed, and Close after it.
func (in *Ingest) Commit(s Summary) (r *Receipt, err error) {
	in.cleanOnClose = false // the bag is being completed; what stays of it the next Begin cleans
	defer func() {
		if err != nil {
			r, err = nil, fmt.Errorf("commit: %w", err)
		}
	}()
	if r, err = in.newReceipt(s); err != nil {
		return nil, err
	}
	disk, bag, final := in.archive.disk, in.path(bagDir), in.archive.Path(in.key)
	if err := in.writeBag(r); err != nil {
		return nil, err
	}
	if err := filepath.WalkDir(bag, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return err
		}
		return disk.syncDir(path)
	}); err != nil {
		return nil, err
	}
	if err := disk.mkdirs(filepath.Dir(final)); err != nil {
		return nil, err
	}
	if err := disk.rename(bag, final); err != nil {
		return nil, err
	}
	if err := disk.syncParents(filepath.Dir(final), in.archive.dir); err != nil {
		return nil, err
	}
	_ = in.remove() // the export has landed; if this fails, the next to lock the export removes what is left
	return r, nil
}

// writeBag writes the tag files around the content of the export, and removes
// everything else.
func (in *Ingest) writeBag(r *Receipt) error {
	if err := in.cleanBag(); err != nil {
		return err
	}
	receipt, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	var content []string // the lines of the manifest, ordered by the names of the files
	for o, err := range in.objects.all() {
		if err != nil {
			return err
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
		if err := in.archive.disk.write(in.path(bagDir, name), tags[name], sum); err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sum.Sum(nil), name)
	}
	return nil
}
