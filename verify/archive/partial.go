package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"iter"
	"os"
	"path"
	"slices"
	"sync"

	"tallyman/verify"
)

// ErrChanged says that the store holds another version of an object than the
// one that was being received. What was received of it is dropped.
var ErrChanged = errors.New("changed at the source")

// A Partial is one object being received: a file with each part at its
// offset, and a map of the parts. Parts are received by many goroutines at
// once, while one reads the Wire.
type Partial struct {
	in    *Ingest
	name  string
	file  *os.File
	chart *os.File
	files []File

	mu      sync.Mutex
	moved   sync.Cond // parts, end or failed changed
	job     verify.Want
	store   *verify.Want // nil until the store has answered
	want    verify.Want  // both, merged
	parts   []*Part      // by offset; they don't overlap
	failed  error
	spoiled bool // what was received is of no use
	wire    *verify.Wire
}

// Done reports whether the object was received and proven by an earlier
// attempt, under a promise that does not contradict want.
func (in *Ingest) Done(name string, want verify.Want) bool {
	o, ok := in.objects.get(name)
	if !ok {
		return false
	}
	if _, err := want.Merge(name, o.Store.want()); err != nil {
		in.objects.forget(name)
		return false
	}
	return true
}

// Partial takes up an object under the promise that its job made: with the
// parts that an earlier attempt received, unless the promise has changed
// since. The caller closes it, after all who use it have ended.
func (in *Ingest) Partial(name string, want verify.Want) (*Partial, error) {
	p := &Partial{in: in, name: name, job: want, want: want}
	p.moved.L = &p.mu
	err := p.open()
	if err == nil {
		err = p.load()
	}
	if err != nil {
		p.close()
		return nil, fmt.Errorf("take up %s: %w", name, err)
	}
	return p, nil
}

func (p *Partial) open() (err error) {
	sum := sha256.Sum256([]byte(p.name))
	path := p.in.path("parts", hex.EncodeToString(sum[:16]))
	if p.file, err = os.OpenFile(path+".wire", os.O_CREATE|os.O_RDWR, 0o644); err != nil {
		return err
	}
	p.chart, err = os.OpenFile(path+".map", os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644)
	return err
}

// load believes what the map says as far as the bytes bear it out.
func (p *Partial) load() error {
	store, entries, err := readMap(p.chart)
	if err != nil || store == nil {
		return errors.Join(err, p.empty())
	}
	if p.want, err = p.job.Merge(p.name, *store); err != nil {
		p.want = p.job
		return p.empty()
	}
	p.store = store
	for _, e := range entries {
		if p.free(e) && checkPart(p.file, e) {
			p.insert(&Part{partial: p, off: e.Off, size: e.Len, n: e.Len, whole: true})
		}
	}
	return nil
}

// free reports whether a map entry lies in the object and on no other part.
func (p *Partial) free(e mapEntry) bool {
	if e.Off < 0 || e.Len <= 0 || (p.want.Size != verify.Unknown && e.Len > p.want.Size-e.Off) {
		return false
	}
	return !slices.ContainsFunc(p.parts, func(t *Part) bool { return e.Off < t.off+t.n && t.off < e.Off+e.Len })
}

func (p *Partial) insert(t *Part) {
	i, _ := slices.BinarySearchFunc(p.parts, t.off, func(t *Part, off int64) int { return int(min(max(t.off-off, -1), 1)) })
	p.parts = slices.Insert(p.parts, i, t)
}

// empty drops what was received. The map goes first: without it the data
// means nothing.
func (p *Partial) empty() error {
	if err := p.in.archive.disk.begin("empty", p.chart.Name()); err != nil {
		return err
	}
	return errors.Join(p.chart.Truncate(0), p.file.Truncate(0))
}

// Promise takes in what the store says of the whole object, before any of its
// bytes are kept. If the store said otherwise before, that is ErrChanged; if
// the job did, a *verify.Mismatch.
func (p *Partial) Promise(said verify.Want) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.store != nil && !sameVersion(*p.store, said) {
		p.spoiled = true
		return fmt.Errorf("%s: %w", p.name, ErrChanged)
	}
	want, err := p.job.Merge(p.name, said)
	if err != nil {
		p.spoiled = true
		return err
	}
	if p.store != nil {
		return nil
	}
	p.store, p.want = &said, want
	return p.markStore(said)
}

// Spoil marks what was received as of no use: the store has another version.
func (p *Partial) Spoil() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spoiled = true
}

func sameVersion(a, b verify.Want) bool {
	differ := func(x, y string) bool { return x != "" && y != "" && x != y }
	return !(a.Size != verify.Unknown && b.Size != verify.Unknown && a.Size != b.Size) &&
		!(a.ETag != "" && b.ETag != "" && !verify.SameETag(a.ETag, b.ETag)) &&
		!differ(a.CRC64, b.CRC64) && !differ(a.MD5, b.MD5)
}

// Want is all that is promised of the object so far.
func (p *Partial) Want() verify.Want {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.want
}

// Version is the ETag that the store gave, or "".
func (p *Partial) Version() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.store == nil {
		return ""
	}
	return p.store.ETag
}

// Received is how many bytes are here.
func (p *Partial) Received() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	var n int64
	for _, t := range p.parts {
		n += t.n
	}
	return n
}

// Missing yields what is not here yet of an object of that size, in order and
// in parts of at most part bytes; who takes a part must fill it. Where the
// size is verify.Unknown, the last part is the open end.
func (p *Partial) Missing(size, part int64) iter.Seq[*Part] {
	return func(yield func(*Part) bool) {
		for off := int64(0); ; {
			t := p.next(&off, size, part)
			if t == nil || !yield(t) {
				return
			}
		}
	}
}

// next makes a part of the first hole at or after off, and moves off past it.
func (p *Partial) next(off *int64, size, part int64) *Part {
	p.mu.Lock()
	defer p.mu.Unlock()
	if size == verify.Unknown && len(p.parts) > 0 {
		return nil
	}
	end := size
	for _, t := range p.parts {
		if t.off > *off {
			end = t.off
			break
		}
		*off = max(*off, t.off+t.size)
	}
	if *off == size {
		return nil
	}
	t := &Part{partial: p, off: *off, size: verify.Unknown, crc: crc64.New(verify.ECMA)}
	if end != verify.Unknown {
		t.size = min(part, end-*off)
	}
	p.insert(t)
	*off = max(*off, t.off+t.size)
	return t
}

func (p *Partial) advance(t *Part, n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t.n += n
	p.moved.Broadcast()
}

func (p *Partial) finish(t *Part) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t.size, t.whole = t.n, true
	p.moved.Broadcast()
}

// Fail tells the reader of the Wire that a hole will not be filled, and why.
func (p *Partial) Fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed == nil {
		p.failed = err
	}
	p.moved.Broadcast()
}

// Wire reads the object from its beginning: what is here, then what comes. It
// waits at a hole until the hole is filled, Fail is called, or ctx ends. Its
// io.EOF is the verdict; see [verify.Wire]. There is one Wire of a Partial,
// made after the first Promise.
func (p *Partial) Wire(ctx context.Context) *verify.Wire {
	p.wire = verify.NewWire(p.name, p.Want(), &follower{ctx: ctx, partial: p})
	return p.wire
}

type follower struct {
	ctx     context.Context
	partial *Partial
	off     int64
}

func (f *follower) Read(b []byte) (int, error) {
	n, err := f.partial.wait(f.ctx, f.off)
	if err != nil {
		return 0, err
	}
	read, err := f.partial.file.ReadAt(b[:min(int64(len(b)), n)], f.off)
	f.off += int64(read)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // the file is shorter than its parts
	}
	return read, err
}

// wait returns how many bytes are here from off on, once there are any.
func (p *Partial) wait(ctx context.Context, off int64) (int64, error) {
	defer context.AfterFunc(ctx, func() { p.Fail(context.Cause(ctx)) })()
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		n, ended := p.available(off)
		switch {
		case n > 0:
			return n, nil
		case ended:
			return 0, io.EOF
		case p.failed != nil:
			return 0, p.failed
		}
		p.moved.Wait()
	}
}

// available is how many bytes are here from off on, and whether the object
// ends there.
func (p *Partial) available(off int64) (n int64, ended bool) {
	i, _ := slices.BinarySearchFunc(p.parts, off, func(t *Part, off int64) int {
		if t.off+t.n <= off {
			return -1
		}
		return 1
	})
	if i < len(p.parts) && p.parts[i].off <= off {
		return p.parts[i].off + p.parts[i].n - off, false
	}
	if p.want.Size != verify.Unknown {
		return 0, off >= p.want.Size
	}
	return 0, i == len(p.parts) && i > 0 && p.parts[i-1].whole
}

// Finish makes the object done, once its Wire has given io.EOF and its content
// files are closed. codec names how it was decoded ("" for plain), and summed
// tells that the codec's own checksum covered and proved all of it.
func (p *Partial) Finish(codec string, summed bool) error {
	if p.wire == nil || !errors.Is(p.wire.Verdict(), io.EOF) {
		return fmt.Errorf("finish %s: its bytes are not proven", p.name)
	}
	o := Object{
		Name: p.name, Size: p.wire.Size(), CRC64: p.wire.CRC64(),
		Job: promised(p.job), Store: promised(*p.store),
		Checks: p.wire.Checks(), Proof: proof(p.wire.Proof(), summed),
		Codec: codec, Files: p.files,
	}
	if err := errors.Join(p.syncNames(), p.in.objects.add(p.in.archive.disk, o)); err != nil {
		return fmt.Errorf("finish %s: %w", p.name, err)
	}
	p.spoiled = true // the content is what is kept
	return nil
}

// syncNames makes the names of the content files durable.
func (p *Partial) syncNames() error {
	synced := map[string]bool{}
	for _, f := range p.files {
		for dir := path.Dir(f.Path); !synced[dir]; dir = path.Dir(dir) {
			synced[dir] = true
			if err := p.in.archive.disk.syncDir(p.in.path("bag", dataDir, dir)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Close ends the use of the Partial. What was received is kept for the next
// attempt, unless it was proven wrong or is no longer needed.
func (p *Partial) Close() error {
	var err error
	if p.spoiled || p.mismatched() {
		err = p.empty()
	}
	return errors.Join(err, p.close())
}

func (p *Partial) mismatched() bool {
	if p.wire == nil {
		return false
	}
	_, mismatch := errors.AsType[*verify.Mismatch](p.wire.Verdict())
	return mismatch || errors.Is(p.wire.Verdict(), verify.ErrUnproven)
}

func (p *Partial) close() error {
	var err error
	for _, f := range []*os.File{p.file, p.chart} {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	return err
}
