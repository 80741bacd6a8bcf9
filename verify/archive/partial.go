package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"tallyman/verify"
)

// A Partial is one object being received: a file with each part at its
// offset, and a map of what is here. Parts are received by many goroutines at
// once, while one reads the Wire.
type Partial struct {
	in    *Ingest
	name  string
	file  *os.File
	chart *os.File
	keep  *keeper // of the bytes as transferred, or nil
	claim claim   // on the disk

	mu      sync.Mutex
	moved   sync.Cond // parts, end or failed changed
	job     verify.Want
	store   *verify.Want // nil until the store has answered
	want    verify.Want  // both, merged
	parts   parts
	anew    bool // parts were here, under a promise that the job has changed since
	writing int  // content files that are not closed
	files   []File
	counted []Counted
	doubts  []string
	failed  error
	spoiled bool // what was received is of no use
	wire    *verify.Wire
}

// Done reports whether the object was received and proven by an earlier
// attempt, under a promise that does not contradict want. It asks for the
// object: Commit leaves out those that were not asked for.
func (in *Ingest) Done(name string, want verify.Want) bool {
	return in.objects.ask(name, func(o Object) bool {
		_, err := want.Merge(name, o.Store.want())
		return err == nil && SameVersion(want, o.Job.want())
	})
}

// Partial takes up an object under the promise that its job made: with the
// parts that an earlier attempt received, unless the promise has changed
// since. If the object was done, it is no longer. The caller closes the
// Partial, after all who use it have ended.
func (in *Ingest) Partial(ctx context.Context, name string, want verify.Want) (*Partial, error) {
	p := &Partial{in: in, name: name, job: want, want: want}
	p.moved.L, p.claim.room = &p.mu, &in.archive.room
	err := in.undo(name)
	if err == nil {
		err = p.open()
	}
	if err == nil {
		err = p.load(ctx)
	}
	if err != nil {
		p.close()
		return nil, fmt.Errorf("take up %s: %w", name, err)
	}
	return p, nil
}

// undo drops an object that is done and its files, which are in the way.
func (in *Ingest) undo(name string) error {
	o, err := in.objects.forget(name)
	if err != nil {
		return err
	}
	for _, f := range o.Files {
		if err := in.archive.disk.removeAll(in.path("bag", dataDir, filepath.FromSlash(f.Path))); err != nil {
			return err
		}
	}
	return nil
}

func (p *Partial) open() (err error) {
	path := p.in.path(partsDir, hashName(p.name))
	if err := p.in.archive.disk.begin("create", path); err != nil {
		return err
	}
	if p.file, err = os.OpenFile(path+".wire", os.O_CREATE|os.O_RDWR, 0o644); err != nil {
		return err
	}
	p.chart, err = os.OpenFile(path+".map", os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644)
	return err
}

// load believes what the map says as far as the bytes bear it out.
func (p *Partial) load(ctx context.Context) error {
	holds := false
	for e, err := range readMap(p.chart) {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case e.Store != nil:
			p.parts, p.anew = nil, false
			holds = p.takeUp(e.Job.want(), e.Store.want())
		case holds:
			p.recall(e)
		default:
			p.anew = true
		}
	}
	if holds && len(p.parts) > 0 {
		return nil
	}
	p.store, p.want = nil, p.job // what a store said of bytes that are not here binds no other answer
	return p.empty()
}

// takeUp reports whether the job promises what it did when the map was begun,
// and the store does not contradict it. Where the size is not known any more,
// a piece would be taken for all.
func (p *Partial) takeUp(job, store verify.Want) bool {
	want, err := p.job.Merge(p.name, store)
	if err != nil || !SameVersion(job, p.job) || want.Size == verify.Unknown && job.Size != verify.Unknown {
		p.store, p.want = nil, p.job
		return false
	}
	p.store, p.want = &store, want
	return true
}

// empty drops what was received. The map goes first: without it the data
// means nothing.
func (p *Partial) empty() error {
	if err := p.in.archive.disk.begin("empty", p.chart.Name()); err != nil {
		return err
	}
	err := p.chart.Truncate(0)
	if p.file != nil {
		err = errors.Join(err, p.file.Truncate(0))
	}
	return err
}

// Restarted reports whether an earlier attempt received parts under a promise that
// the job has changed since, so that they are of no use.
func (p *Partial) Restarted() bool { return p.anew }

// Received is how many bytes are here.
func (p *Partial) Received() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.parts.received()
}

// Finish makes the object done, once its Wire has given io.EOF and its content
// files are closed. codec names how it was decoded ("" for plain), and summed
// tells that the codec's own checksum covered and proved all of it.
func (p *Partial) Finish(codec string, summed bool) error {
	if err := p.finish(codec, summed); err != nil {
		return fmt.Errorf("finish %s: %w", p.name, err)
	}
	return nil
}

func (p *Partial) finish(codec string, summed bool) error {
	switch {
	case !p.proven():
		return errUnproven
	case p.writing > 0:
		return errors.New("its content is not whole")
	}
	if err := p.keepWire(codec); err != nil {
		return err
	}
	if err := p.in.objects.add(p.in.archive.disk, p.object(codec, summed)); err != nil {
		return err
	}
	p.Discard() // the content is what is kept
	return p.cedeWire()
}

var errUnproven = errors.New("its bytes are not proven")

// proven reports whether the wire was heard out and its verdict is good.
func (p *Partial) proven() bool { return p.wire != nil && errors.Is(p.wire.Verdict(), io.EOF) }

// ReaderAt gives all bytes of the object as transferred, once its Wire has given
// io.EOF. They are there until the Partial is finished or closed.
func (p *Partial) ReaderAt() (io.ReaderAt, int64, error) {
	if !p.proven() {
		return nil, 0, fmt.Errorf("read %s as a whole: %w", p.name, errUnproven)
	}
	return io.NewSectionReader(receivedBytes{p}, 0, p.wire.Size()), p.wire.Size(), nil
}

// receivedBytes are those of a Partial.
type receivedBytes struct{ partial *Partial }

func (r receivedBytes) ReadAt(b []byte, off int64) (int, error) { return r.partial.readAt(b, off) }

func (p *Partial) object(codec string, summed bool) Object {
	return Object{
		Name: p.name, Size: p.wire.Size(), CRC64: p.wire.CRC64(),
		Job: promised(p.job), Store: promised(p.said()),
		Checks: p.wire.Checks(), Proof: proof(p.wire.Proof(), summed),
		Codec: codec, Files: p.files, Counted: p.counted, Doubts: p.doubts,
	}
}

// AddDoubt adds a reason to look twice at the object, should it land. It must not
// be called while Finish is.
func (p *Partial) AddDoubt(reason string) { p.doubts = append(p.doubts, reason) }

// Close ends the use of the Partial. All that was received is kept for the next
// attempt, unless it was proven wrong or is no longer needed.
func (p *Partial) Close() error {
	var err error
	if p.spoiled || p.mismatched() {
		err = p.empty()
	} else {
		err = p.leave()
	}
	return errors.Join(err, p.close())
}

func (p *Partial) leave() error {
	for _, t := range p.parts {
		if err := t.leave(); err != nil {
			return err
		}
	}
	return nil
}

func (p *Partial) mismatched() bool {
	if p.wire == nil {
		return false
	}
	_, mismatch := errors.AsType[*verify.Mismatch](p.wire.Verdict())
	return mismatch || errors.Is(p.wire.Verdict(), verify.ErrUnproven)
}

func (p *Partial) close() error {
	defer p.claim.drop()
	var err error
	for _, f := range []*os.File{p.file, p.chart} {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	return err
}
