package archive

import (
	"hash/crc64"
	"iter"

	"tallyman/verify"
)

// Missing yields what is not here yet of an object of that size, in order and
// in parts of at most part bytes, which end at multiples of it; who takes a
// part must fill it. Where the size is verify.Unknown, the only part is the
// whole object.
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
	t := &Part{partial: p, size: verify.Unknown, crc: crc64.New(verify.ECMA)}
	if size == verify.Unknown {
		if len(p.parts) > 0 {
			return nil
		}
		p.parts.insert(0, t)
		return t
	}
	i, end := p.parts.hole(off, size)
	if *off >= end {
		return nil
	}
	t.off, t.size = *off, min(part-*off%part, end-*off)
	p.parts.insert(i, t)
	*off += t.size
	return t
}

// recall believes an entry of the map if it lies in the object and its bytes
// are here.
func (p *Partial) recall(e mapEntry) {
	if e.isIn(p.want.Size) && e.isTrue(p.file) {
		p.parts.recall(p, e)
	}
}
