package archive

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"tallyman/verify"
)

// A content is a file of the bag being written.
type content struct {
	partial *Partial
	name    string
	file    *os.File
	size    int64
	sum     hash.Hash
	counter *verify.Counter
}

// Create opens a content file of the object for writing, in the bag of its
// export. The name is slash-separated and must be local and new. declared is
// the content type that the job declared, "csv" or "json", or "". The file
// counts once it is closed without an error.
func (p *Partial) Create(name, declared string) (io.WriteCloser, error) {
	if strings.ContainsFunc(name, unwritable) {
		return nil, fmt.Errorf("create %q: a manifest can't hold that name", name)
	}
	if err := p.in.archive.disk.begin("create", p.in.path("bag", dataDir, name)); err != nil {
		return nil, err
	}
	local := filepath.FromSlash(name)
	if err := p.in.root.MkdirAll(filepath.Dir(local), 0o755); err != nil {
		return nil, fmt.Errorf("create %s: %w", name, err)
	}
	file, err := p.in.root.OpenFile(local, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", name, err)
	}
	return &content{partial: p, name: path.Clean(name), file: file, sum: sha256.New(), counter: verify.NewCounter(declared, name)}, nil
}

// unwritable are the characters that BagIt or sha256sum would escape, each in
// a way of its own.
func unwritable(r rune) bool { return r < ' ' || r == 0x7f || r == '%' || r == '\\' }

func (c *content) Write(b []byte) (int, error) {
	if err := c.partial.in.archive.disk.begin("write", c.file.Name()); err != nil {
		return 0, err
	}
	n, err := c.file.Write(b)
	c.size += int64(n)
	c.sum.Write(b[:n])
	c.counter.Write(b[:n])
	return n, err
}

// Close makes the file durable and read-only.
func (c *content) Close() error {
	disk := c.partial.in.archive.disk
	err := errors.Join(disk.sync(c.file), c.file.Chmod(0o444), c.file.Close())
	if err != nil {
		return fmt.Errorf("close %s: %w", c.name, err)
	}
	count := c.counter.Count()
	c.partial.files = append(c.partial.files, File{
		Path: c.name, Size: c.size, SHA256: hex.EncodeToString(c.sum.Sum(nil)),
		Format: count.Format, Records: count.Rows,
	})
	return nil
}
