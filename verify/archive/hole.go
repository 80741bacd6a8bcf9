package archive

import (
	"hash/crc64"
	"iter"
	"slices"
	"sort"

	"tallyman/verify"
)

// Missing yields what is not here yet of an object of that size, in order and
// in parts of at most part bytes; who takes a part must fill it. Where the
// size is verify.Unknown, the only part is the whole object.
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
		p.parts = append(p.parts, t)
		return t
	}
	i, end := p.hole(off, size)
	if *off >= end {
		return nil
	}
	t.off, t.size = *off, min(part, end-*off)
	p.parts = slices.Insert(p.parts, i, t)
	*off += t.size
	return t
}

// hole moves off to where the first hole at or after it begins. It returns
// where the hole ends and which part that is.
func (p *Partial) hole(off *int64, size int64) (i int, end int64) {
	i = sort.Search(len(p.parts), func(i int) bool { return p.parts[i].off+p.parts[i].size > *off })
	for ; i < len(p.parts) && p.parts[i].off <= *off; i++ {
		*off = p.parts[i].off + p.parts[i].size
	}
	if i < len(p.parts) {
		return i, p.parts[i].off
	}
	return i, size
}

// after is the first part of which something is here behind off.
func (p *Partial) after(off int64) int {
	return sort.Search(len(p.parts), func(i int) bool { return p.parts[i].off+p.parts[i].n > off })
}

// recall believes an entry of the map if it lies in the object and on no other
// part, and its bytes are here.
func (p *Partial) recall(e mapEntry) {
	if !e.isIn(p.want.Size) {
		return
	}
	i := p.after(e.Off)
	if i < len(p.parts) && e.Off+e.Len > p.parts[i].off || !checkPart(p.file, e) {
		return
	}
	p.parts = slices.Insert(p.parts, i, &Part{partial: p, off: e.Off, size: e.Len, n: e.Len, whole: true})
}

// isIn reports whether the entry's part lies in an object of that size. If the
// size is not known, the object is one part.
func (e mapEntry) isIn(size int64) bool {
	if size == verify.Unknown {
		return e.Off == 0 && e.Len > 0
	}
	return e.Off >= 0 && e.Len > 0 && e.Len <= size-e.Off
}
