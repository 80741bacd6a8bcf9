package archive

import (
	"errors"
	"fmt"

	"tallyman/verify"
)

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
	if err := p.choose(want.Size); err != nil {
		return err
	}
	p.store, p.answered, p.want = store, true, want
	return p.addToIndex(partEntry{Store: new(promised(store)), Job: promised(p.job), Hidden: p.in.Hidden})
}

// isHashed reports whether a promise of the job is a hash, so that the Wire fails if
// the bytes are not those that are wanted.
func isHashed(w verify.Want) bool { return w.MD5 != "" || w.CRC64 != "" || w.SHA256 != "" }

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
