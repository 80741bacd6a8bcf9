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
	name string
	sum  hash.Hash
}

// Keep makes the bytes as transferred a file of the bag under that name, once
// the object is finished. It is called before Wire.
func (p *Partial) Keep(name string) error {
	if strings.ContainsFunc(name, unwritable) || !filepath.IsLocal(filepath.FromSlash(name)) {
		return fmt.Errorf("keep %q: a bag can't hold that name", name)
	}
	p.keep = &keeper{name: name, sum: sha256.New()}
	return nil
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
func (p *Partial) keepWire() error {
	if p.keep == nil || slices.ContainsFunc(p.files, func(f File) bool { return f.Path == p.keep.name }) {
		return nil
	}
	disk, local := p.in.archive.disk, filepath.FromSlash(p.keep.name)
	if err := p.in.root.MkdirAll(filepath.Dir(local), 0o755); err != nil {
		return err
	}
	from, to := p.file.Name(), p.in.path("bag", dataDir, local)
	err := errors.Join(disk.sync(p.file), p.file.Chmod(0o444), p.file.Close())
	p.file = nil // so that emptying the partial leaves it alone
	if err == nil {
		err = disk.rename(from, to)
	}
	if err == nil {
		p.add(File{
			Path: p.keep.name, Size: p.wire.Size(), SHA256: hex.EncodeToString(p.keep.sum.Sum(nil)),
			Wire: true, Records: verify.Unknown,
		})
	}
	return err
}

// add makes a file of the bag one of the object's.
func (p *Partial) add(f File) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.files = append(p.files, f)
}
