package archive

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"tallyman/verify"
)

// A keeper keeps the bytes of an object as transferred, as a file of the bag.
type keeper struct {
	name  func(codec string) string
	sum   hash.Hash
	place string // in the bag, once it has one
}

// KeepWire makes the bytes as transferred a file of the bag once the object is
// finished. Its name may depend on the codec; where that is the name of the
// object's content, ".wire" follows it. Keep is called before Wire.
func (p *Partial) KeepWire(name func(codec string) string) {
	p.keep = &keeper{name: name, sum: sha256.New()}
}

// CreateCounted is Create for content that is decoded only to prove and to count it.
func (p *Partial) CreateCounted(name, declared string) (io.WriteCloser, error) {
	return &counting{p, name, verify.NewCounter(declared, name)}, nil
}

type counting struct {
	partial *Partial
	name    string
	*verify.Counter
}

func (c *counting) Close() error {
	count := c.Count()
	c.partial.mu.Lock()
	defer c.partial.mu.Unlock()
	c.partial.counted = append(c.partial.counted, Counted{c.name, count.Format, count.Rows})
	return nil
}

// keepWire gives the bytes as transferred a name in the bag, unless the content
// is just that.
func (p *Partial) keepWire(codec string) error {
	if p.keep == nil || codec == "" && len(p.files) > 0 {
		return nil
	}
	name := p.keep.name(codec)
	if p.isTaken(name) {
		name += ".wire"
	}
	place, err := p.create(name)
	if err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	p.keep.place = p.in.path("bag", dataDir, filepath.FromSlash(name))
	if err := errors.Join(place.Close(), p.linkWire()); err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	p.add(File{
		Path: name, Size: p.wire.Size(), SHA256: hex.EncodeToString(p.keep.sum.Sum(nil)),
		Wire: true, Records: verify.Unknown,
	})
	return nil
}

// isTaken reports whether the object's content has that name, as a file or as a
// directory.
func (p *Partial) isTaken(name string) bool {
	return slices.ContainsFunc(p.files, func(f File) bool { return f.Path == name || strings.HasPrefix(f.Path, name+"/") })
}

// linkWire makes the partial's file one of the bag too. Where it was it stays,
// and fit to be taken up, until the object is done. What failed to become durable
// may be lost although it can be read, and a second fsync would not tell: it is
// received again.
func (p *Partial) linkWire() error {
	disk := p.in.archive.disk
	if err := disk.sync(p.file); err != nil {
		p.Discard()
		return err
	}
	if err := disk.removeAll(p.keep.place); err != nil {
		return err
	}
	return disk.link(p.file.Name(), p.keep.place)
}

// cedeWire leaves the file to the bag, where it becomes read-only.
func (p *Partial) cedeWire() error {
	if p.keep == nil || p.keep.place == "" {
		return nil
	}
	file := p.file
	p.file = nil // so that emptying the partial leaves it alone
	return errors.Join(p.in.archive.disk.removeAll(file.Name()), file.Chmod(readOnly), file.Close())
}

// add makes a file of the bag one of the object's.
func (p *Partial) add(f File) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.files = append(p.files, f)
}
