package verify

import (
	"cmp"
	"fmt"
	"strings"
)

// Unknown stands for a size or a count that was not promised, or that could not
// be found out. Zero is a promise like any other.
const Unknown = -1

// Want is what was promised about the bytes of one object as transferred.
type Want struct {
	Size  int64  // bytes, or Unknown
	ETag  string // as received: names a version, and may be a hash of the bytes
	MD5   string // lower-case hex, or "": not promised
	CRC64 string // CRC-64/XZ in decimal, or "": not promised

	SHA256 string `json:",omitempty"` // lower-case hex, or "": not promised

	// Modified is when the object was last modified, in one form for all answers
	// of a store, or "". It names a version where no strong ETag does.
	Modified string `json:",omitempty"`
}

// NoPromise is a Want that promises nothing.
func NoPromise() Want { return Want{Size: Unknown} }

// HasHash reports whether a hash of the bytes is promised, so that a Wire fails if they
// are not those that are wanted.
func (w Want) HasHash() bool { return w.SHA256 != "" || w.MD5 != "" || w.CRC64 != "" }

// Merge joins two promises about the same object. If they contradict each other,
// it fails with a *Mismatch that has w's as what was wanted and other's as what
// was got. Of two ETags it keeps the one that says more about the bytes, or w's.
// Two hashes of one form must be equal. A hash of the bytes can't be compared with
// a hash of parts, or with an opaque ETag: they are different names of one version.
func (w Want) Merge(object string, other Want) (Want, error) {
	merged := w
	merged.Modified = cmp.Or(w.Modified, other.Modified)
	if merged.Size == Unknown {
		merged.Size = other.Size
	} else if other.Size != Unknown && other.Size != w.Size {
		return Want{}, &Mismatch{object, CheckSize, fmt.Sprint(other.Size), fmt.Sprint(w.Size)}
	}
	for _, sum := range []struct {
		check string
		w     *string
		other string
	}{{CheckSHA256, &merged.SHA256, other.SHA256}, {CheckMD5, &merged.MD5, other.MD5}, {CheckCRC64, &merged.CRC64, other.CRC64}} {
		switch {
		case *sum.w == "":
			*sum.w = sum.other
		case sum.other != "" && !strings.EqualFold(*sum.w, sum.other):
			return Want{}, &Mismatch{object, sum.check, sum.other, *sum.w}
		}
	}
	x, y := parseETag(w.ETag), parseETag(other.ETag)
	if x.form == y.form && x.form >= etagParts && x != y {
		return Want{}, &Mismatch{object, CheckETag, other.ETag, w.ETag}
	}
	if y.form > x.form {
		merged.ETag = other.ETag
	}
	return merged, nil
}

// A Mismatch is the error that a promise did not hold. What was received under
// that promise must not be used.
type Mismatch struct{ Object, Check, Got, Want string }

// Error names the object, the check, and both values.
func (m *Mismatch) Error() string {
	return fmt.Sprintf("%s: %s is %s, promised %s", m.Object, m.Check, m.Got, m.Want)
}
