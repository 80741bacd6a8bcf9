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
	name func(codec string) string
	sum  hash.Hash
}

// Keep makes the bytes as transferred a file of the bag once the object is
// finished. Its name may depend on the codec; where that is the name of the
// object's content, ".wire" follows it. Keep is called before Wire.
func (p *Partial) Keep(name func(codec string) string) {
	p.keep = &keeper{name: name, sum: sha256.New()}
}

// Count is Create for content that is decoded only to prove and to count it.
func (p *Partial) Count(name, declared string) (io.WriteCloser, error) {
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

// keepWire moves the bytes as transferred into the bag, unless the content is
// just that.
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
	if err := errors.Join(place.Close(), p.moveWire(p.in.path("bag", dataDir, filepath.FromSlash(name)))); err != nil {
		return err
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

// moveWire makes the partial's file that of the bag. Only there it becomes
// read-only: where it was it must stay fit to be taken up.
func (p *Partial) moveWire(to string) error {
	disk, file := p.in.archive.disk, p.file
	if err := disk.sync(file); err != nil {
		return err
	}
	if err := disk.rename(file.Name(), to); err != nil {
		return err
	}
	p.file = nil // so that emptying the partial leaves it alone
	return errors.Join(file.Chmod(readOnly), file.Close())
}

// add makes a file of the bag one of the object's.
func (p *Partial) add(f File) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.files = append(p.files, f)
}
