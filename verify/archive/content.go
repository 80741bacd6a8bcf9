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
	"slices"
	"strings"
	"syscall"
	"unicode"

	"tallyman/verify"
	"tallyman/verify/archive/internal/durable"
	"tallyman/verify/archive/internal/remains"
	"tallyman/verify/archive/ledger"
)

// ErrName says that the bag can't hold a file of that name, at all or beside the
// files that it has, or the archive an export of that key.
var ErrName = errors.New("no file of the bag can have that name")

// nameRefusals are the errors of file systems that take no such name: some take no ":"
// or "?", some nothing that is not UTF-8.
var nameRefusals = []error{syscall.ENAMETOOLONG, syscall.EINVAL, syscall.EILSEQ}

const (
	// maxName is how many bytes a name may have, so that the path of the file in
	// the archive stays below maxPath.
	maxName = 2048

	// maxPath is how many bytes a path may have, its final zero included, for
	// most programs on Linux to open it.
	maxPath = 4096
)

// CheckName fails with ErrName if a file of that name, or an element of its path,
// is too long for the bag and its file system. It is meant to be asked before
// anything is received.
func (in *Ingest) CheckName(name string) error {
	if len(name) > maxName {
		return fmt.Errorf("%w: %.100q… has %d bytes, and at most %d are allowed", ErrName, name, len(name), maxName)
	}
	for _, path := range []string{in.path(bagDir, dataDir, name), filepath.Join(in.archive.Path(in.key), dataDir, name)} {
		if err := checkPath(path, name, in.maxElement); err != nil {
			return err
		}
	}
	return nil
}

// checkPath fails with ErrName if the path, or an element of the name that it
// ends with, is too long.
func checkPath(path, name string, maxElement int) error {
	if len(path) >= maxPath {
		return fmt.Errorf("%w: %.100q… would have a path of %d bytes, and at most %d are allowed: put the archive in a directory with a shorter path",
			ErrName, name, len(path), maxPath-1)
	}
	for element := range strings.SplitSeq(name, "/") {
		if len(element) > maxElement {
			return fmt.Errorf("%w: %.100q… has %d bytes, and the file system allows %d", ErrName, element, len(element), maxElement)
		}
	}
	return nil
}

// A contentFile is a content file that is being written.
type contentFile struct {
	partial *Partial
	name    string
	file    *os.File
	size    int64
	started int64     // bytes whose writing back has been started
	sum     hash.Hash // nil if the content is hashed as the wire
	counter *verify.Counter
	err     error // of the first write that failed
}

// Create opens a content file of the object for writing, in the bag of its
// export. Several may be open at once; each is for one goroutine. The name is
// slash-separated and must be local and new, or Create fails with ErrName.
// declared is the content type that the job declared, as verify.NewCounter takes
// it. isWire says that the content will be all of the bytes as transferred, whose hash
// it then has. The file counts once Close has returned nil, which it does not do if a
// write failed.
func (p *Partial) Create(name, declared string, isWire bool) (io.WriteCloser, error) {
	file, err := p.create(name)
	if err != nil {
		return nil, fmt.Errorf("create %.200q: %w", name, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writing++
	c := &contentFile{partial: p, name: name, file: file, counter: verify.NewCounter(declared, name)}
	if !isWire {
		c.sum = sha256.New()
	}
	return c, nil
}

func (p *Partial) create(name string) (file *os.File, err error) {
	escaped := func(r rune) bool { return r < ' ' || r == 0x7f || r == '%' || r == '\\' } // by BagIt or sha256sum, each in its own way
	stripped := strings.TrimRightFunc(name, unicode.IsSpace) != name                      // by who reads the manifest
	if !fs.ValidPath(name) || name == "." || len(name) > maxName || stripped || strings.ContainsFunc(name, escaped) {
		return nil, ErrName
	}
	root, err := p.in.openBag()
	if err != nil {
		return nil, err
	}
	local := filepath.FromSlash(name)
	err = p.in.archive.step("create", filepath.Join(root.Name(), local))
	if dir := filepath.Dir(local); err == nil && dir != "." {
		err = root.MkdirAll(dir, 0o755)
	}
	if err == nil {
		file, err = root.OpenFile(local, os.O_CREATE|os.O_EXCL|os.O_WRONLY, durable.ReadOnly)
	}
	for _, cause := range append([]error{fs.ErrExist, syscall.ENOTDIR}, nameRefusals...) {
		if errors.Is(err, cause) {
			return nil, fmt.Errorf("%w: %w", ErrName, err)
		}
	}
	return file, err
}

// writeBackEvery is how many bytes are written before the system is asked to
// start writing them to the disk, so that the sync in the end has little left to
// do.
const writeBackEvery = 16 << 20

func (c *contentFile) Write(b []byte) (n int, err error) {
	if c.err == nil {
		c.err = c.partial.in.archive.step("write", c.file.Name())
	}
	if c.err == nil {
		n, c.err = c.file.Write(b)
	}
	c.size += int64(n)
	c.partial.reserved.spend(int64(n))
	if c.size-c.started >= writeBackEvery {
		durable.StartWriteBack(c.file, c.started, c.size-c.started)
		c.started = c.size
	}
	if c.sum != nil {
		c.sum.Write(b[:n])
	}
	c.counter.Write(b[:n])
	return n, c.err
}

var errCutShort = errors.New("not all of it was written")

// Close makes the bytes of the file durable, or leaves that to the commit, and the
// file one of the object's.
func (c *contentFile) Close() error {
	err := errCutShort
	if c.err == nil {
		err = nil
		if c.started > 0 { // else it is small, and its sync comes at once
			durable.StartWriteBack(c.file, c.started, c.size-c.started)
		}
	}
	if err != nil || !c.partial.in.holdOpen(c.file) {
		if err == nil {
			err = c.partial.in.archive.step.Sync(c.file)
		}
		err = errors.Join(err, c.file.Close())
	}
	if err != nil {
		return fmt.Errorf("close %s: %w", c.name, err)
	}
	count, first := c.counter.Count(), c.counter.First()
	f := File{
		Path: c.name, Size: c.size, Format: count.Format, Records: count.Rows, Header: c.counter.Header(),
		FirstSHA256: first.SHA256, FirstAgain: first.Again,
	}
	if c.sum != nil {
		f.SHA256 = hex.EncodeToString(c.sum.Sum(nil))
	}
	c.partial.mu.Lock()
	defer c.partial.mu.Unlock()
	c.partial.files = append(c.partial.files, f)
	c.partial.writing--
	return nil
}

// CreateCounted is Create for content that is decoded only to prove and to count
// it: nothing is written to the disk.
func (p *Partial) CreateCounted(name, declared string) (io.WriteCloser, error) {
	return &countedFile{p, name, verify.NewCounter(declared, name)}, nil
}

type countedFile struct {
	partial *Partial
	name    string
	*verify.Counter
}

func (c *countedFile) Close() error {
	count, first := c.Count(), c.First()
	c.partial.mu.Lock()
	defer c.partial.mu.Unlock()
	c.partial.counted = append(c.partial.counted, Counted{c.name, count.Format, count.Rows, c.Header(), first.SHA256, first.Again})
	return nil
}

// Uncounted says that what CreateCounted counted is not all of the object. So its
// records are not known.
func (p *Partial) Uncounted() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counted = []Counted{{Name: p.name, Records: verify.Unknown}}
}

// Contents are the content files of an export that landed, as its manifest lists them,
// for which the ledger vouches. The caller closes them.
type Contents struct {
	Paths []string // below data/, in order

	// Newer is set if the ledger has no line of the export, since it landed after all that
	// have one: see ErrNewer. Then only the bag's own manifest vouches for it.
	Newer bool

	key   string
	check bagCheck
}

// Contents opens the content files of an export. It fails with fs.ErrNotExist if the
// export has not landed, with a *RemovedError if it was removed, with ErrBusy if its commit is
// under way, and with a *Damage if it is gone, its manifest is not as it was then, the ledger
// lacks its line, or it is where another was removed. Other damage is of the files that have it.
func (a *Archive) Contents(key string) (*Contents, error) {
	last, err := a.presence(key)
	if err != nil {
		return nil, err
	}
	removed := last != nil && last.Kind == ledger.Removed
	if removed {
		if last, err = a.settleRemoved(key, last); err != nil {
			return nil, err
		}
		removed = last != nil && last.Kind == ledger.Removed
	}
	landed, err := a.landed(key)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the content of %s: %w", key, err)
	case removed && (!landed || a.Busy(key)):
		return nil, fmt.Errorf("read the content of %s: %w", key, newRemovedError(last))
	case removed:
		return nil, &Damage{Key: key, Reference: last.Ref, Problems: []string{newRemovedError(last).Error() + ", and what is in its place now was not checked"}}
	case !landed && last != nil:
		return nil, a.absence(last)
	case !landed:
		return nil, fmt.Errorf("read the content of %s: %w", key, fs.ErrNotExist)
	}
	c := &Contents{key: key, check: bagCheck{listed: map[string]string{}}}
	if last == nil {
		last, err = a.lineOf(key)
		if c.Newer = errors.Is(err, ErrNewer); err != nil && !c.Newer {
			return nil, err
		}
	}
	bag := ""
	if last != nil {
		bag = last.Bag
	}
	if !remains.Believed(a.Path(key), bag)[manifest] {
		return nil, &Damage{Key: key, Problems: []string{manifest + " is not as it was when it landed"}}
	}
	if c.check.root, err = os.OpenRoot(a.Path(key)); err != nil {
		return nil, err
	}
	if c.check.readManifest(manifest, true); len(c.check.problems) > 0 {
		return nil, errors.Join(&Damage{Key: key, Problems: c.check.problems}, c.Close())
	}
	for path := range c.check.listed {
		c.Paths = append(c.Paths, strings.TrimPrefix(path, dataDir+"/"))
	}
	slices.Sort(c.Paths)
	return c, nil
}

// Close ends the reading of files.
func (c *Contents) Close() error { return c.check.root.Close() }

// SHA256 is the hash of a file as it landed, in hex, or "" if there is none of that path.
func (c *Contents) SHA256(path string) string { return c.check.listed[dataDir+"/"+path] }

// Open opens a file. Its io.EOF says that all of its bytes are as they landed; if they are
// not, the last of them are not returned, and the error is a *Damage. The caller closes
// it.
func (c *Contents) Open(path string) (io.ReadCloser, error) {
	f, err := c.check.open(dataDir + "/" + path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotRegular) {
		return nil, &Damage{Key: c.key, Problems: []string{fmt.Sprintf("%s/%s is missing", dataDir, path)}}
	}
	if err != nil {
		return nil, err
	}
	damage := &Damage{Key: c.key, Problems: []string{fmt.Sprintf("%s/%s has other bytes than when it landed", dataDir, path)}}
	r := &provenFile{file: f, hash: sha256.New(), want: c.SHA256(path), damage: damage, next: make([]byte, heldBack), spare: make([]byte, heldBack)}
	r.fill()
	return r, nil
}

// heldBack is how many bytes of a file are not returned before those behind them are
// read: of a file that has no more, none before all are proven.
const heldBack = 1 << 20

// A provenFile is a file whose io.EOF is a verdict.
type provenFile struct {
	file        *os.File
	hash        hash.Hash
	want        string
	damage      *Damage
	ready, next []byte // to be returned, and behind that
	spare       []byte // of ready, once that is returned
	err         error  // behind what is ready
}

// fill reads what comes next. At the end it comes to the verdict.
func (r *provenFile) fill() {
	n, err := io.ReadFull(r.file, r.next[:cap(r.next)])
	r.next = r.next[:n]
	r.hash.Write(r.next)
	switch {
	case n > 0 && (err == nil || errors.Is(err, io.ErrUnexpectedEOF)):
	case !errors.Is(err, io.EOF):
		r.err = err
	case hex.EncodeToString(r.hash.Sum(nil)) != r.want:
		r.ready, r.err = nil, r.damage
	default:
		r.err = io.EOF
	}
}

// Read implements io.Reader.
func (r *provenFile) Read(p []byte) (int, error) {
	for len(r.ready) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		r.ready, r.next, r.spare = r.next, r.spare, r.next
		r.fill()
	}
	n := copy(p, r.ready)
	r.ready = r.ready[n:]
	return n, nil
}

// Close ends the reading.
func (r *provenFile) Close() error { return r.file.Close() }
