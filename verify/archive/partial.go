package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"tallyman/verify"
	"tallyman/verify/archive/internal/durable"
)

// A Partial is one object that is being received: a file with each part at its
// offset, and the part index. Many goroutines may receive parts at once while one
// reads the Wire.
type Partial struct {
	// Restarted says that an earlier attempt received parts that are of no use now,
	// because the job promises another version. It does not change.
	Restarted bool

	in         *Ingest
	name       string
	memory     []byte   // what is received of a small object, in place of the files, which are nil then
	file       *os.File // both are nil too before the first answer of the store, unless something is persisted
	index      *os.File
	indexEvery int64       // bytes of a part after which it gets an entry of the part index, which a kill then does not lose
	keep       *wireKeeper // or nil
	reserved   reservation
	hashed     bool // the job promised a hash, so that the Wire fails if the bytes are not those that are wanted

	mu        sync.Mutex
	moved     sync.Cond // parts, an end of one, or failed changed
	job       verify.Want
	store     verify.Want // what the store promised: nothing before its first answer
	answered  bool        // the store has
	foreign   bool        // store and parts are of another hidden part of the reference
	want      verify.Want // both promises, merged
	parts     parts
	writing   int // content files that are not closed
	files     []File
	counted   []Counted
	doubts    []string
	failed    error
	discarded bool
	wire      *verify.Wire
}

// Partial opens an object under the promise that its job made, with the parts
// that an earlier attempt received unless the promise has changed since. An
// object that was done is done no longer, and its files are removed. The caller
// closes the Partial when all who use it have ended.
func (in *Ingest) Partial(ctx context.Context, name string, want verify.Want) (p *Partial, err error) {
	step := in.archive.step
	p = &Partial{in: in, name: name, job: want, want: want, store: verify.NoPromise(), hashed: want.HasHash(), indexEvery: cmp.Or(in.archive.indexEvery, defaultIndexEvery)}
	p.moved.L, p.reserved.all = &p.mu, &in.archive.reserved
	defer func() {
		if err != nil {
			p.Close()
			p, err = nil, fmt.Errorf("open what was received of %s: %w", name, err)
		}
	}()
	var done Object
	in.objects.mu.Lock()
	if _, ok := in.objects.entries[name]; ok {
		done, _, err = in.objects.read(name)
		delete(in.objects.entries, name)
	}
	in.objects.mu.Unlock()
	if err != nil {
		return p, err
	}
	for _, f := range done.Files {
		if err := step.RemoveAll(filepath.Join(in.bag, dataDir, filepath.FromSlash(f.Path))); err != nil {
			return p, err
		}
	}
	if in.Single && in.file == nil {
		return p, nil
	}
	if err := p.open(ctx, verify.Unknown); err != nil {
		return p, err
	}
	return p, p.load(ctx)
}

// maxInMemory is how many bytes an object has at most, as transferred, that is received
// in memory.
const maxInMemory = 256 << 10

// open opens the file of the received bytes and the part index. An object that is known
// to be small gets memory in place of them, if nothing is persisted.
func (p *Partial) open(ctx context.Context, size int64) (err error) {
	if size >= 0 && size <= maxInMemory && p.in.file == nil {
		p.memory = make([]byte, size)
		return nil
	}
	if err := p.in.persist(ctx); err != nil {
		return err
	}
	path := p.in.path(partsDir, hashName(p.name))
	if err := p.in.archive.step("create", path); err != nil {
		return err
	}
	if p.file, err = os.OpenFile(path+".wire", os.O_CREATE|os.O_RDWR, 0o644); err != nil {
		return err
	}
	p.index, err = os.OpenFile(path+partIndexSuffix, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644)
	return err
}

// spill writes what was received in memory to the files, for the next attempt.
func (p *Partial) spill() error {
	if err := p.open(context.Background(), verify.Unknown); err != nil {
		return err
	}
	err := p.addToIndex(partEntry{Store: new(promised(p.store)), Job: promised(p.job), Hidden: p.in.Hidden, Single: p.in.Single})
	for _, part := range p.parts {
		if bytes := p.memory[part.off:][:part.n]; err == nil && len(bytes) > 0 {
			_, err = p.file.WriteAt(bytes, part.off)
			crc := strconv.FormatUint(crc64.Checksum(bytes, crc64.MakeTable(crc64.ECMA)), 10)
			err = errors.Join(err, p.addToIndex(partEntry{Off: part.off, Len: part.n, CRC64: crc}))
		}
	}
	return err
}

// load takes over the entries of the part index that are of the promised version
// and whose bytes are in the file. If there are none, the Partial is empty.
func (p *Partial) load(ctx context.Context) error {
	current := false // the entries are of the version that is promised now
	for e, err := range readPartIndex(p.index) {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case e.Store != nil:
			p.parts, p.Restarted = nil, false
			current = p.adopt(e.Job.want(), e.Store.want())
			p.foreign = current && e.Hidden != p.in.Hidden && !p.hashed
		case !current:
			p.Restarted = true
		case e.isIn(p.want.Size) && e.matches(p.file):
			p.parts.add(p, e)
		}
	}
	// What is of another hidden part is compared with the next answer of the store: so
	// something must be left to ask for, and the store must tell versions apart.
	isAll := p.want.Size == verify.Unknown || len(p.parts) == 1 && p.parts[0].n == p.want.Size
	if current && len(p.parts) > 0 && (!p.foreign || !isAll && isComparable(p.store, p.store)) {
		return nil
	}
	p.Restarted, p.foreign, p.parts = p.Restarted || p.foreign, false, nil
	p.store, p.answered, p.want = verify.NoPromise(), false, p.job // without its bytes, an earlier answer of the store binds no later one
	return p.empty()
}

// adopt takes over the promises of an earlier attempt, and reports whether it
// could: the job still promises the same version, and the store did not contradict
// it. If the job promised a size then and nobody promises one now, it could not: a
// piece would be taken for the whole object.
func (p *Partial) adopt(job, store verify.Want) bool {
	want, err := p.job.Merge(p.name, store)
	if err != nil || !SameVersion(job, p.job) || want.Size == verify.Unknown && job.Size != verify.Unknown {
		p.store, p.answered, p.want = verify.NoPromise(), false, p.job
		return false
	}
	p.store, p.answered, p.want = store, true, want
	return true
}

// empty drops what was received. The index goes first: without it the bytes mean
// nothing.
func (p *Partial) empty() error {
	if p.index == nil {
		return nil
	}
	if err := p.in.archive.step("empty", p.index.Name()); err != nil {
		return err
	}
	err := p.index.Truncate(0)
	if p.file != nil {
		err = errors.Join(err, p.file.Truncate(0))
	}
	return err
}

// Received is how many bytes are here.
func (p *Partial) Received() (n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, part := range p.parts {
		n += part.n
	}
	return n
}

// AddDoubt adds a reason to look twice at the object if it lands. It must not be
// called while Finish runs.
func (p *Partial) AddDoubt(reason string) { p.doubts = append(p.doubts, reason) }

// Finish makes the object done. The Wire must have given io.EOF and the content
// files must be closed. codec names how the object was decoded ("" if it was
// not), and summed says that the codec's own checksum covered all of it and held.
func (p *Partial) Finish(codec string, summed bool) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("finish %s: %w", p.name, err)
		}
	}()
	switch {
	case p.wire == nil || !errors.Is(p.wire.Result().Verdict, io.EOF):
		return errUnproven
	case p.writing > 0:
		return errNotClosed
	}
	if p.keep != nil && (codec != "" || len(p.files) == 0) { // else the wire is content already
		if err := p.linkWire(codec); err != nil {
			return err
		}
	}
	found := p.wire.Result()
	for i, f := range p.files {
		if f.SHA256 == "" && f.Size != found.Size {
			return errNotWire
		}
		p.files[i].SHA256 = cmp.Or(f.SHA256, found.SHA256)
	}
	object := Object{
		Name: p.name, Size: found.Size, CRC64: found.CRC64, WireSHA256: found.SHA256,
		Job: promised(p.job), Store: promised(p.store),
		Checks: found.Checks, Proof: found.Proof,
		Codec: codec, Files: p.files, Counted: p.counted, Doubts: p.doubts, Hidden: p.in.Hidden,
	}
	if object.Proof == verify.CheckSize { // which alone proves nothing
		object.Proof = ""
		if summed {
			object.Proof = "size and the codec's checksum"
		}
	}
	if err := p.in.objects.add(p.in.archive.step, object); err != nil {
		return err
	}
	p.Discard() // the content is what is kept
	if p.keep == nil || p.keep.path == "" || p.file == nil {
		return nil
	}
	file := p.file                   // handed over to the bag
	p.file = nil                     // so that Close does not truncate it
	_ = file.Chmod(durable.ReadOnly) // which some file systems do not know, and nothing depends on
	return errors.Join(p.in.archive.step.RemoveAll(file.Name()), file.Close())
}

var (
	errUnproven  = errors.New("its bytes are not proven")
	errNotClosed = errors.New("a content file is not closed, or was cut short")
	errNotWire   = errors.New("a content file does not have all of the bytes as transferred")
)

// Discard marks what was received as useless, as when the store has another
// version. Close then drops it.
func (p *Partial) Discard() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.discarded = true
}

// Close ends the use of the Partial. What was received is kept for the next
// attempt, unless it was discarded, proven wrong, or finished.
func (p *Partial) Close() (err error) {
	defer p.reserved.release()
	useless := p.discarded
	if p.wire != nil {
		verdict := p.wire.Result().Verdict
		_, mismatch := errors.AsType[*verify.Mismatch](verdict)
		useless = useless || mismatch || errors.Is(verdict, verify.ErrUnproven)
	}
	switch {
	case useless:
		err = p.empty()
	case p.memory != nil && p.Received() > 0:
		err, useless = p.spill(), true // no part is left to be listed
	}
	for _, part := range p.parts {
		if err == nil && !useless && !part.complete && part.size != verify.Unknown {
			err = part.addToIndex()
		}
	}
	for _, f := range []*os.File{p.file, p.index} {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	return err
}

// ErrChanged says that the store has another version of an object than the one
// that was being received. What was received of it is dropped.
var ErrChanged = errors.New("changed at the source")

// A Promise is a verify.Want as it is stored on disk.
type Promise struct {
	Size  *int64 `json:"size,omitempty"`
	ETag  string `json:"etag,omitempty"`
	MD5   string `json:"md5,omitempty"`
	CRC64 string `json:"crc64,omitempty"`

	SHA256 string `json:"sha256,omitempty"`

	Modified string `json:"modified,omitempty"` // the store's Last-Modified
}

func promised(w verify.Want) Promise {
	p := Promise{ETag: w.ETag, MD5: w.MD5, CRC64: w.CRC64, SHA256: w.SHA256, Modified: w.Modified}
	if w.Size != verify.Unknown {
		p.Size = &w.Size
	}
	return p
}

func (p Promise) want() verify.Want {
	w := verify.Want{Size: verify.Unknown, ETag: p.ETag, MD5: p.MD5, CRC64: p.CRC64, SHA256: p.SHA256, Modified: p.Modified}
	if p.Size != nil && *p.Size >= 0 {
		w.Size = *p.Size
	}
	return w
}

// SameVersion reports whether two promises of one service can be about the same
// bytes. What only one of them promises does not count. When the object was last
// modified counts only where there are no two strong ETags.
func SameVersion(a, b verify.Want) bool {
	differ := func(x, y string) bool { return x != "" && y != "" && x != y }
	strong := verify.IsStrongETag(a.ETag) && verify.IsStrongETag(b.ETag)
	return !(a.Size != verify.Unknown && b.Size != verify.Unknown && a.Size != b.Size) &&
		!(a.ETag != "" && b.ETag != "" && !verify.SameETag(a.ETag, b.ETag)) &&
		!(!strong && differ(a.Modified, b.Modified)) &&
		!differ(a.CRC64, b.CRC64) && !differ(a.MD5, b.MD5) && !differ(a.SHA256, b.SHA256)
}

// isComparable reports whether two answers of stores both name a version.
func isComparable(a, b verify.Want) bool {
	return a.CRC64 != "" && b.CRC64 != "" || a.MD5 != "" && b.MD5 != "" || a.Modified != "" && b.Modified != "" ||
		verify.IsStrongETag(a.ETag) && verify.IsStrongETag(b.ETag)
}

// AddPromise adds what the store says of the whole object. It is called with each
// answer of the store, before any bytes of the answer are written. It fails with
// ErrChanged if the store said otherwise before, and with a *verify.Mismatch if
// the job did. Either marks what was received as useless.
//
// A hash of the bytes says more of their version than an ETag and a time, of which
// each of several machines behind one address may have its own.
func (p *Partial) AddPromise(store verify.Want) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.store
	if p.hashed || before.CRC64 != "" && store.CRC64 != "" || before.MD5 != "" && store.MD5 != "" {
		before.ETag, before.Modified = "", ""
	}
	if p.answered && !SameVersion(before, store) || p.foreign && !isComparable(p.store, store) {
		p.discarded = true
		return fmt.Errorf("%s: %w", p.name, ErrChanged)
	}
	want, err := p.job.Merge(p.name, store)
	if err != nil {
		p.discarded = true
		return err
	}
	if p.answered {
		return nil
	}
	if p.file == nil && p.memory == nil {
		if err := p.open(context.Background(), want.Size); err != nil {
			return err
		}
	}
	p.store, p.answered, p.want = store, true, want
	return p.addToIndex(partEntry{Store: new(promised(store)), Job: promised(p.job), Hidden: p.in.Hidden, Single: p.in.Single})
}

// Want is all that is promised of the object so far, by the job and the store.
func (p *Partial) Want() verify.Want {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.want
}

// Version is the ETag that the store gave, or "". It is "" too if the job promised a
// hash, which decides whatever the store calls the bytes.
func (p *Partial) Version() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hashed {
		return ""
	}
	return p.store.ETag
}
