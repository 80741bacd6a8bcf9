package verify

import (
	"crypto/md5"
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
	NotComparable = "not comparable" // the promise says nothing about the bytes, or there is nothing to count
)

// A Check is one promise, what was found, and the verdict.
type Check struct {
	Check   string `json:"check"`
	Want    string `json:"want"`
	Got     string `json:"got,omitempty"`
	Verdict string `json:"verdict"`
}

// ErrUnproven is the verdict on bytes about which nothing was promised, not even
// their number.
var ErrUnproven = errors.New("nothing was promised that could prove it")

// ECMA is the table of CRC-64/XZ, the CRC that OSS and OBS give in decimal.
var ECMA = crc64.MakeTable(crc64.ECMA)

// A Wire reads the bytes of one object and checks what was promised about them.
// It is an io.Reader whose io.EOF is the verdict that every promise held. After
// any other error, what was read must not be used. The error is a *Mismatch if a
// promise did not hold, ErrUnproven if there was none, and otherwise that of the
// underlying reader: the transfer broke. A Wire is for one goroutine.
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

// NewWire returns a Wire that reads from r. The object's name is for messages.
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

// Read implements io.Reader. It stops with a *Mismatch as soon as there are more
// bytes than promised. Its last error stays.
func (w *Wire) Read(p []byte) (int, error) {
	if w.err != nil || len(p) == 0 {
		return 0, w.err
	}
	n, err := w.r.Read(p)
	w.n += int64(n)
	w.crc.Write(p[:n])
	if w.md5 != nil {
		w.md5.Write(p[:n])
	}
	for _, parts := range w.parts {
		parts.Write(p[:n])
	}
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

// A noVerdict is an error of the underlying reader that wraps io.EOF, as those of
// connections do. It wraps everything that the error wraps except io.EOF.
type noVerdict struct{ error }

func (e noVerdict) Is(target error) bool { return target != io.EOF && errors.Is(e.error, target) }
func (e noVerdict) As(target any) bool   { return errors.As(e.error, target) }

// verdict checks each promise, and is io.EOF if all of them held.
func (w *Wire) verdict() error {
	var checks []Check
	if w.want.Size != Unknown {
		checks = append(checks, Check{Check: CheckSize, Want: strconv.FormatInt(w.want.Size, 10), Got: strconv.FormatInt(w.n, 10)})
	}
	if w.want.CRC64 != "" {
		checks = append(checks, Check{Check: CheckCRC64, Want: w.want.CRC64, Got: w.CRC64()})
	}
	if w.want.MD5 != "" {
		checks = append(checks, Check{Check: CheckMD5, Want: w.want.MD5, Got: fmt.Sprintf("%x", w.md5.Sum(nil))})
	}
	tag := parseETag(w.want.ETag)
	if tag.form != etagNone {
		checks = append(checks, Check{Check: CheckETag, Want: w.want.ETag})
	}
	for _, c := range checks {
		switch {
		case c.Check == CheckETag:
			w.checkETag(tag, &c) // the last one, since it depends on what the others proved
		case strings.EqualFold(c.Got, c.Want):
			c.Verdict = Held
		default:
			c.Verdict = Broken
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

// checkETag compares an ETag with what it may be a hash of. An ETag that looks
// like an MD5 is believed unless a better check proved the bytes, since stores
// give such ETags to objects that were appended to, copied or encrypted. The part
// size of a hash of parts is a guess, so only a match says anything.
func (w *Wire) checkETag(tag etag, c *Check) {
	c.Verdict = NotComparable
	switch tag.form {
	case etagMD5:
		c.Got = fmt.Sprintf("%x", w.md5.Sum(nil))
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
}

// Size is how many bytes were read.
func (w *Wire) Size() int64 { return w.n }

// CRC64 is the CRC-64/XZ of the bytes read, in decimal.
func (w *Wire) CRC64() string { return strconv.FormatUint(w.crc.Sum64(), 10) }

// Checks lists each promise and its verdict, once Read has ended.
func (w *Wire) Checks() []Check { return w.checks }

// Proof names the check that proves the bytes, once Read has given io.EOF.
// CheckSize means that nothing but their number was proven.
func (w *Wire) Proof() string { return w.proof }

// Verdict is the error that ended Read: io.EOF if every promise held. It is nil
// while Read has not ended.
func (w *Wire) Verdict() error { return w.err }
