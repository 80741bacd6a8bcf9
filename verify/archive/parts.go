package archive

import (
	"hash/crc64"
	"io"
	"slices"
	"sort"
	"strconv"
	"sync"

	"tallyman/verify"
)

// parts are those of an object by their offsets. They don't overlap.
type parts []*Part

func (ps *parts) insert(i int, t *Part) { *ps = slices.Insert(*ps, i, t) }

// hole moves off to where the first hole at or after it begins. It returns
// where the hole ends and which part that is.
func (ps parts) hole(off *int64, size int64) (i int, end int64) {
	i = sort.Search(len(ps), func(i int) bool { return ps[i].off+ps[i].size > *off })
	for ; i < len(ps) && ps[i].off <= *off; i++ {
		*off = ps[i].off + ps[i].size
	}
	if i < len(ps) {
		return i, ps[i].off
	}
	return i, size
}

// after is the first part of which something is here behind off.
func (ps parts) after(off int64) int {
	return sort.Search(len(ps), func(i int) bool { return ps[i].off+ps[i].n > off })
}

func (ps parts) received() (n int64) {
	for _, t := range ps {
		n += t.n
	}
	return n
}

// recall takes in an entry of a map, unless it lies on another's bytes. What
// touches becomes one part, so that there are no more of them than holes.
func (ps *parts) recall(p *Partial, e mapEntry) {
	i := ps.after(e.Off)
	if i < len(*ps) && e.Off+e.Len > (*ps)[i].off {
		return
	}
	if i > 0 && (*ps)[i-1].end() == e.Off {
		i--
		(*ps)[i].grow(e.Len)
	} else {
		ps.insert(i, &Part{partial: p, off: e.Off, size: e.Len, n: e.Len, marked: e.Len, whole: true})
	}
	if i+1 < len(*ps) && (*ps)[i].end() == (*ps)[i+1].off {
		(*ps)[i].grow((*ps)[i+1].n)
		*ps = slices.Delete(*ps, i+1, i+2)
	}
}

func (t *Part) end() int64 { return t.off + t.n }

func (t *Part) grow(n int64) {
	t.n += n
	t.size, t.marked = t.n, t.n
}

// isIn reports whether the entry lies in an object of that size. If the size
// is not known, the object is one entry.
func (e mapEntry) isIn(size int64) bool {
	if size == verify.Unknown {
		return e.Off == 0 && e.Len > 0
	}
	return e.Off >= 0 && e.Len > 0 && e.Len <= size-e.Off
}

var buffers = sync.Pool{New: func() any { return new([128 << 10]byte) }}

// isTrue hashes the bytes that the entry claims to be here.
func (e mapEntry) isTrue(file io.ReaderAt) bool {
	buffer := buffers.Get().(*[128 << 10]byte)
	defer buffers.Put(buffer)
	crc := crc64.New(verify.ECMA)
	n, err := io.CopyBuffer(crc, io.NewSectionReader(file, e.Off, e.Len), buffer[:])
	return err == nil && n == e.Len && strconv.FormatUint(crc.Sum64(), 10) == e.CRC64
}
