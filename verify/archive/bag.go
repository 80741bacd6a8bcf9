package archive

import (
	"bytes"
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

// tagFiles are the files that every bag has beside its content.
var tagFiles = []string{bagDeclaration, bagInfo, manifest, tagManifest, receiptFile}

// Commit makes the export land: when Commit returns, the export is under its
// final name and durable. If Commit fails, the export is absent, or complete but
// perhaps not durable; the next attempt finds out which. The verdicts on the
// bytes come from the objects that are done. Of those, the export gets the ones
// for which this attempt called Done or Finish.
func (in *Ingest) Commit(s Summary) (*Receipt, error) {
	in.loaded = false
	r, err := in.newReceipt(s)
	if err == nil {
		err = in.commit(r)
	}
	if err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	return r, nil
}

// commit writes the bag around the content and gives it its final name.
func (in *Ingest) commit(r *Receipt) error {
	disk, final := in.archive.disk, in.archive.Path(in.key)
	if err := in.writeBag(r); err != nil {
		return err
	}
	if err := disk.syncTree(in.path(bagDir)); err != nil {
		return err
	}
	if err := disk.mkdirs(filepath.Dir(final)); err != nil {
		return err
	}
	if err := disk.rename(in.path(bagDir), final); err != nil {
		return err
	}
	if err := in.archive.syncParents(in.key); err != nil {
		return err
	}
	_ = in.remove() // the export has landed; Landed clears up what may be left
	return nil
}

// syncParents makes the final name of an export durable.
func (a *Archive) syncParents(key string) error {
	return a.disk.syncParents(filepath.Dir(a.Path(key)), a.dir)
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
	manifestText, err := in.manifest()
	if err != nil {
		return err
	}
	info := fmt.Sprintf("Bag-Software-Agent: tallyman\nBagging-Date: %s\nExternal-Identifier: %s\nPayload-Oxum: %d.%d\n",
		r.Landed.Format(time.DateOnly), r.Reference, r.Bytes, r.Files)
	tags := map[string]io.WriterTo{
		bagDeclaration: strings.NewReader(declaration),
		bagInfo:        strings.NewReader(info),
		manifest:       strings.NewReader(manifestText),
		receiptFile:    bytes.NewReader(append(receipt, '\n')),
	}
	if len(r.Objects) == 0 {
		tags[objectsFile] = &in.objects
	}
	var tagSums strings.Builder
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		sum, err := in.writeTag(name, tags[name])
		if err != nil {
			return err
		}
		fmt.Fprintf(&tagSums, "%s  %s\n", sum, name)
	}
	_, err = in.writeTag(tagManifest, strings.NewReader(tagSums.String()))
	return err
}

// writeTag writes a tag file and returns its SHA-256.
func (in *Ingest) writeTag(name string, content io.WriterTo) (string, error) {
	h := sha256.New()
	err := in.archive.disk.write(in.path(bagDir, name), content, h)
	return hex.EncodeToString(h.Sum(nil)), err
}

// manifest lists the content files with their SHA-256, ordered by name.
func (in *Ingest) manifest() (string, error) {
	var lines []string
	for o, err := range in.objects.all() {
		if err != nil {
			return "", err
		}
		for _, f := range o.Files {
			lines = append(lines, fmt.Sprintf("%s  %s/%s\n", f.SHA256, dataDir, f.Path))
		}
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[2*sha256.Size:], b[2*sha256.Size:]) })
	return strings.Join(lines, ""), nil
}
