package verify

import (
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc64"
	"io"
	"strconv"
	"strings"
)

// The names of the checks, as receipts and messages give them.
const (
	CheckSize    = "size"
	CheckMD5     = "md5"
	CheckCRC64   = "crc64"
	CheckETag    = "etag"
	CheckRecords = "records"
)

// The verdicts of a check.
const (
	Held          = "held"
	Broken        = "broken"
	NotComparable = "not comparable" // says nothing of the bytes, or can't be counted
)

// A Check is one promise and what became of it.
type Check struct {
	Check   string `json:"check"`
	Want    string `json:"want"`
	Got     string `json:"got,omitempty"`
	Verdict string `json:"verdict"`
}

// ErrUnproven is the verdict on bytes of which nothing was promised, not even
// how many they are.
var ErrUnproven = errors.New("nothing was promised that could prove it")

// ECMA is the table of CRC-64/XZ, the CRC that OSS and OBS give in decimal.
var ECMA = crc64.MakeTable(crc64.ECMA)

// A Wire reads the bytes of one object and holds them to a promise. It is an
// io.Reader whose io.EOF is the verdict that every promise held. Any other
// error means that what was read must not be used: a *Mismatch that a promise
// did not hold, ErrUnproven that there was none, and what the underlying
// reader gave that the transfer broke.
type Wire struct {
	object string
	want   Want
	r      io.Reader
	err    error

	n      int64
	crc    hash.Hash64
	md5    hash.Hash // nil where nothing calls for it
	parts  []*partsHash
	checks []Check
	proof  string
}

// NewWire returns a Wire over r. The object's name is for messages.
func NewWire(object string, want Want, r io.Reader) *Wire {
	w := &Wire{object: object, want: want, r: r, crc: crc64.New(ECMA)}
	tag := parseETag(want.ETag)
	if want.MD5 != "" || tag.form == etagMD5 {
		w.md5 = md5.New()
	}
	if tag.form == etagParts && want.CRC64 == "" && want.MD5 == "" {
		w.parts = guessParts(want.Size, tag.parts)
	}
	return w
}

// Read implements io.Reader.
func (w *Wire) Read(p []byte) (int, error) {
	if w.err != nil || len(p) == 0 {
		return 0, w.err
	}
	n, err := w.r.Read(p)
	w.hash(p[:n])
	if w.want.Size != Unknown && w.n > w.want.Size {
		w.err = &Mismatch{w.object, CheckSize, fmt.Sprintf("%d or more", w.n), fmt.Sprint(w.want.Size)}
		return 0, w.err
	}
	switch {
	case err == io.EOF:
		w.err = w.verdict()
	case errors.Is(err, io.EOF):
		w.err = noVerdict{err}
	default:
		w.err = err
	}
	return n, w.err
}

// noVerdict is an error of the underlying reader that wraps io.EOF, as those
// of connections do. It is all that the error is, but not io.EOF.
type noVerdict struct{ err error }

func (e noVerdict) Error() string        { return e.err.Error() }
func (e noVerdict) Is(target error) bool { return target != io.EOF && errors.Is(e.err, target) }
func (e noVerdict) As(target any) bool   { return errors.As(e.err, target) }

func (w *Wire) hash(p []byte) {
	w.n += int64(len(p))
	w.crc.Write(p)
	if w.md5 != nil {
		w.md5.Write(p)
	}
	for _, parts := range w.parts {
		parts.Write(p)
	}
}

// verdict is io.EOF if every promise held.
func (w *Wire) verdict() error {
	for _, check := range []func() (Check, bool){w.checkSize, w.checkCRC64, w.checkMD5, w.checkETag} {
		c, promised := check()
		if !promised {
			continue
		}
		w.checks = append(w.checks, c)
		if c.Verdict == Broken {
			return &Mismatch{w.object, c.Check, c.Got, c.Want}
		}
		if c.Verdict == Held && (w.proof == "" || w.proof == CheckSize) {
			w.proof = c.Check
		}
	}
	if w.proof == "" {
		return fmt.Errorf("%s: %w", w.object, ErrUnproven)
	}
	return io.EOF
}

func (w *Wire) checkSize() (Check, bool) {
	return compare(CheckSize, strconv.FormatInt(w.n, 10), strconv.FormatInt(w.want.Size, 10)), w.want.Size != Unknown
}

func (w *Wire) checkCRC64() (Check, bool) {
	return compare(CheckCRC64, w.CRC64(), w.want.CRC64), w.want.CRC64 != ""
}

func (w *Wire) checkMD5() (Check, bool) {
	if w.want.MD5 == "" {
		return Check{}, false
	}
	return compare(CheckMD5, sumHex(w.md5), w.want.MD5), true
}

// checkETag takes an ETag for what it may be. One that looks like an MD5 is
// believed unless something better proved the bytes: stores give ETags of that
// look to objects that were appended to, copied or encrypted. The part size
// behind a hash of parts is a guess, so only a match says anything.
func (w *Wire) checkETag() (Check, bool) {
	tag := parseETag(w.want.ETag)
	c := Check{Check: CheckETag, Want: w.want.ETag, Verdict: NotComparable}
	switch tag.form {
	case etagNone:
		return c, false
	case etagMD5:
		c.Got = sumHex(w.md5)
		switch {
		case c.Got == tag.sum:
			c.Verdict = Held
		case w.proof == "" || w.proof == CheckSize:
			c.Verdict = Broken
		}
	case etagParts:
		for _, parts := range w.parts {
			if parts.matches(tag) {
				c.Got, c.Verdict = c.Want, Held
			}
		}
	}
	return c, true
}

func compare(check, got, want string) Check {
	if strings.EqualFold(got, want) {
		return Check{check, want, got, Held}
	}
	return Check{check, want, got, Broken}
}

func sumHex(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

// Size is how many bytes were read.
func (w *Wire) Size() int64 { return w.n }

// CRC64 is the CRC-64/XZ of the bytes read, in decimal.
func (w *Wire) CRC64() string { return strconv.FormatUint(w.crc.Sum64(), 10) }

// Checks lists each promise and whether it held, once Read has given a
// verdict.
func (w *Wire) Checks() []Check { return w.checks }

// Proof names the check that proves the bytes, once Read has given io.EOF.
// CheckSize means that nothing but their number was proven.
func (w *Wire) Proof() string { return w.proof }

// Verdict is what ended Read: io.EOF if every promise held, nil if Read has
// not come to an end.
func (w *Wire) Verdict() error { return w.err }
