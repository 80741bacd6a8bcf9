package archive

import (
	"errors"
	"fmt"

	"tallyman/verify"
)

// ErrChanged says that the store holds another version of an object than the
// one that was being received. What was received of it is dropped.
var ErrChanged = errors.New("changed at the source")

// A Promise is a verify.Want as it is kept on disk.
type Promise struct {
	Size  *int64 `json:"size,omitempty"`
	ETag  string `json:"etag,omitempty"`
	MD5   string `json:"md5,omitempty"`
	CRC64 string `json:"crc64,omitempty"`
}

func promised(w verify.Want) Promise {
	p := Promise{ETag: w.ETag, MD5: w.MD5, CRC64: w.CRC64}
	if w.Size != verify.Unknown {
		p.Size = &w.Size
	}
	return p
}

func (p Promise) want() verify.Want {
	w := verify.Want{Size: verify.Unknown, ETag: p.ETag, MD5: p.MD5, CRC64: p.CRC64}
	if p.Size != nil && *p.Size >= 0 {
		w.Size = *p.Size
	}
	return w
}

// AddPromise takes in what the store says of the whole object, before any of its
// bytes are kept. If the store said otherwise before, that is ErrChanged; if
// the job did, a *verify.Mismatch.
func (p *Partial) AddPromise(said verify.Want) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.store != nil && !SameVersion(*p.store, said) {
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
	return p.mark(mapEntry{Store: new(promised(said)), Job: promised(p.job)})
}

// Discard marks what was received as of no use: the store has another version.
func (p *Partial) Discard() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spoiled = true
}

// SameVersion reports whether two promises can be of the same bytes, as far as
// one and the same service makes both.
func SameVersion(a, b verify.Want) bool {
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
func (p *Partial) Version() string { return p.said().ETag }

// said is what the store promised, which is nothing until it was asked.
func (p *Partial) said() verify.Want {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.store == nil {
		return verify.NoPromise()
	}
	return *p.store
}
