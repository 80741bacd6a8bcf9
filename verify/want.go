package verify

import (
	"fmt"
	"strings"
)

// Unknown is a size or a count that was not promised, or that could not be
// found out. Zero is a promise like any other.
const Unknown = -1

// Want is what was promised about the bytes of one object as transferred.
type Want struct {
	Size  int64  // bytes, or Unknown
	ETag  string // as received: names a version, and may be a hash of its bytes
	MD5   string // lower-case hex, or "": not promised
	CRC64 string // CRC-64/XZ in decimal, or "": not promised
}

// NoPromise is the promise of nothing.
func NoPromise() Want { return Want{Size: Unknown} }

// Merge joins two promises about the same object. Promises that contradict
// each other are a *Mismatch, in which w is what was wanted and other what
// was got. Where both name an ETag, the one that says more about the bytes
// is kept; w's if they say as much.
func (w Want) Merge(object string, other Want) (Want, error) {
	merged := w
	if merged.Size == Unknown {
		merged.Size = other.Size
	} else if other.Size != Unknown && other.Size != w.Size {
		return Want{}, &Mismatch{object, CheckSize, fmt.Sprint(other.Size), fmt.Sprint(w.Size)}
	}
	var err error
	if merged.MD5, err = agree(object, CheckMD5, w.MD5, other.MD5); err != nil {
		return Want{}, err
	}
	if merged.CRC64, err = agree(object, CheckCRC64, w.CRC64, other.CRC64); err != nil {
		return Want{}, err
	}
	merged.ETag, err = mergeETags(object, w.ETag, other.ETag)
	return merged, err
}

func agree(object, check, a, b string) (string, error) {
	switch {
	case a == "":
		return b, nil
	case b == "" || strings.EqualFold(a, b):
		return a, nil
	}
	return "", &Mismatch{object, check, b, a}
}

// mergeETags keeps the ETag that says more. Two hashes of the same form must
// be equal; an opaque ETag can't be compared with a hash, nor a plain hash
// with a hash of parts, since they are different names for one version.
func mergeETags(object, a, b string) (string, error) {
	x, y := parseETag(a), parseETag(b)
	if x.form == y.form && x.form >= etagParts && x != y {
		return "", &Mismatch{object, CheckETag, b, a}
	}
	if y.form > x.form {
		return b, nil
	}
	return a, nil
}

// A Mismatch says that a promise did not hold. Nothing that was received
// under it may be used.
type Mismatch struct{ Object, Check, Got, Want string }

// Error names the object, the check, and both sides of it.
func (m *Mismatch) Error() string {
	return fmt.Sprintf("%s: %s is %s, promised %s", m.Object, m.Check, m.Got, m.Want)
}
