package verify

import (
	"crypto/md5"
	"crypto/sha256"
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
	CheckSHA256  = "sha256"
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

// A Wire reads the bytes of one object and checks what was promised about them.
// It is an io.Reader whose io.EOF is the verdict that every promise held. After
// any other error, what was read must not be used. The error is a *Mismatch if a
// promise did not hold, ErrUnproven if there was none, and otherwise that of the
// underlying reader: the transfer broke. A Wire is for one goroutine.
type Wire struct {
	object string
	want   Want
	r      io.Reader

	crc   hash.Hash64
	sha   hash.Hash
	md5   hash.Hash // nil where nothing calls for it
	parts []*partsHash
	found Result // without its hashes
}

// A Result is what a Wire found out. Size and hashes are those of the bytes that
// were read; the rest is there once Read has ended.
type Result struct {
	Size   int64
	CRC64  string // CRC-64/XZ in decimal
	SHA256 string // in hex

	Verdict error   // that ended Read: io.EOF if every promise held
	Checks  []Check // each promise and its verdict
	Proof   string  // the check that proves the bytes if Verdict is io.EOF; CheckSize: nothing but their number was proven
}

// NewWire returns a Wire that reads from r. The object's name is for messages.
func NewWire(object string, want Want, r io.Reader) *Wire {
	w := &Wire{object: object, want: want, r: r, crc: crc64.New(crc64.MakeTable(crc64.ECMA)), sha: sha256.New()}
	tag := parseETag(want.ETag)
	if want.MD5 != "" || tag.form == etagMD5 {
		w.md5 = md5.New()
	}
	if tag.form == etagParts && want.CRC64 == "" && want.MD5 == "" && want.SHA256 == "" {
		w.parts = guessParts(want.Size, tag.parts)
	}
	return w
}

// Read implements io.Reader. It stops with a *Mismatch as soon as there are more
// bytes than promised. Its last error stays.
func (w *Wire) Read(p []byte) (int, error) {
	if w.found.Verdict != nil || len(p) == 0 {
		return 0, w.found.Verdict
	}
	n, err := w.r.Read(p)
	w.found.Size += int64(n)
	w.crc.Write(p[:n])
	w.sha.Write(p[:n])
	if w.md5 != nil {
		w.md5.Write(p[:n])
	}
	for _, parts := range w.parts {
		parts.Write(p[:n])
	}
	if w.want.Size != Unknown && w.found.Size > w.want.Size {
		w.found.Verdict = &Mismatch{w.object, CheckSize, fmt.Sprintf("%d or more", w.found.Size), fmt.Sprint(w.want.Size)}
		return 0, w.found.Verdict
	}
	switch {
	case err == io.EOF:
		w.found.Verdict = w.verdict()
	case errors.Is(err, io.EOF):
		w.found.Verdict = noVerdict{err}
	default:
		w.found.Verdict = err
	}
	return n, w.found.Verdict
}

// A noVerdict is an error of the underlying reader that wraps io.EOF, as those of
// connections do. It wraps everything that the error wraps except io.EOF.
type noVerdict struct{ error }

func (e noVerdict) Is(target error) bool { return target != io.EOF && errors.Is(e.error, target) }
func (e noVerdict) As(target any) bool   { return errors.As(e.error, target) }

// verdict checks each promise, and is io.EOF if all of them held.
func (w *Wire) verdict() error {
	var checks []Check
	found := w.Result()
	if w.want.Size != Unknown {
		checks = append(checks, Check{Check: CheckSize, Want: strconv.FormatInt(w.want.Size, 10), Got: strconv.FormatInt(found.Size, 10)})
	}
	if w.want.SHA256 != "" {
		checks = append(checks, Check{Check: CheckSHA256, Want: w.want.SHA256, Got: found.SHA256})
	}
	if w.want.CRC64 != "" {
		checks = append(checks, Check{Check: CheckCRC64, Want: w.want.CRC64, Got: found.CRC64})
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
		w.found.Checks = append(w.found.Checks, c)
		if c.Verdict == Broken {
			return &Mismatch{w.object, c.Check, c.Got, c.Want}
		}
		if c.Verdict == Held && (w.found.Proof == "" || w.found.Proof == CheckSize) {
			w.found.Proof = c.Check
		}
	}
	if w.found.Proof == "" {
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
		case w.found.Proof == "" || w.found.Proof == CheckSize:
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

// Result is what was found out so far.
func (w *Wire) Result() Result {
	found := w.found
	found.CRC64, found.SHA256 = strconv.FormatUint(w.crc.Sum64(), 10), hex.EncodeToString(w.sha.Sum(nil))
	return found
}
