package archive

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"tallyman/verify"
)

// A content is a file of the bag being written.
type content struct {
	partial *Partial
	name    string
	file    *os.File
	size    int64
	started int64 // of which writing back has begun
	sum     hash.Hash
	counter *verify.Counter
	err     error // of the first write that failed
}

// ErrName says that a bag can hold no file of that name, or none beside what it
// holds already.
var ErrName = errors.New("no file of the bag can have that name")

// Create opens a content file of the object for writing, in the bag of its
// export. Several may be written at once. The name is slash-separated and must
// be local and new, or it is ErrName. declared is the content type that the job
// declared, "csv" or "json", or "". The file counts once it is closed without
// an error, which it is not if a write failed.
func (p *Partial) Create(name, declared string) (io.WriteCloser, error) {
	file, err := p.create(name)
	if err != nil {
		return nil, fmt.Errorf("create %.200q: %w", name, err)
	}
	p.write(1)
	return &content{partial: p, name: name, file: file, sum: sha256.New(), counter: verify.NewCounter(declared, name)}, nil
}

func (p *Partial) create(name string) (file *os.File, err error) {
	if !fs.ValidPath(name) || name == "." || len(name) > longestName || strings.ContainsFunc(name, unwritable) {
		return nil, ErrName
	}
	if err := p.in.archive.disk.begin("create", p.in.path("bag", dataDir, name)); err != nil {
		return nil, err
	}
	local := filepath.FromSlash(name)
	err = p.in.root.MkdirAll(filepath.Dir(local), 0o755)
	if err == nil {
		file, err = p.in.root.OpenFile(local, os.O_CREATE|os.O_EXCL|os.O_WRONLY, readOnly)
	}
	for _, cause := range []error{fs.ErrExist, syscall.ENOTDIR, syscall.ENAMETOOLONG} {
		if errors.Is(err, cause) {
			return nil, fmt.Errorf("%w: %w", ErrName, err)
		}
	}
	return file, err
}

// longestName is how many bytes a name may have, so that the path of the file in
// the archive stays below the 4096 that most programs on Linux can open.
const longestName = 2048

// unwritable are the characters that BagIt or sha256sum would escape, each in
// a way of its own.
func unwritable(r rune) bool { return r < ' ' || r == 0x7f || r == '%' || r == '\\' }

func (c *content) Write(b []byte) (n int, err error) {
	if c.err == nil {
		c.err = c.partial.in.archive.disk.begin("write", c.file.Name())
	}
	if c.err == nil {
		n, c.err = c.file.Write(b)
	}
	c.size += int64(n)
	c.partial.claim.spend(int64(n))
	c.writeBack()
	c.sum.Write(b[:n])
	c.counter.Write(b[:n])
	return n, c.err
}

// writeBack starts writing what is dirty now, every few MiB, so that making
// the file durable in the end has little left to do.
func (c *content) writeBack() {
	if c.size-c.started < writeBackEach {
		return
	}
	startWriteBack(c.file, c.started, c.size-c.started)
	c.started = c.size
}

const writeBackEach = 16 << 20

var errCutShort = errors.New("not all of it was written")

// Close makes the file durable.
func (c *content) Close() error {
	err := errCutShort
	if c.err == nil {
		err = c.partial.in.archive.disk.sync(c.file)
	}
	if err = errors.Join(err, c.file.Close()); err != nil {
		return fmt.Errorf("close %s: %w", c.name, err)
	}
	count := c.counter.Count()
	c.partial.add(File{
		Path: c.name, Size: c.size, SHA256: hex.EncodeToString(c.sum.Sum(nil)),
		Format: count.Format, Records: count.Rows,
	})
	c.partial.write(-1)
	return nil
}

// write counts the content files that are being written.
func (p *Partial) write(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writing += n
}
