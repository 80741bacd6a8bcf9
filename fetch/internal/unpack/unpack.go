// Package unpack unpacks one container, a zip or a tar, into content files.
// Entries that are containers themselves are content and stay as they are.
//
// It reads as the strictest reader would: whatever two readers could take in
// two ways, or one could take for an attack, refuses the whole container. A
// zip is judged before anything is inflated:
//
//	end records → directory → local headers → inflate
//
// Every byte of a zip belongs to one local header, to one entry's content, to
// one data descriptor, to the directory or to the end records. Nothing lies
// before, between or behind them, so nothing can be hidden or unpacked twice.
// What each entry decodes to was declared and counted beforehand, and decoding
// it stops there.
package unpack

import (
	"cmp"
	"errors"
	"fmt"
	"io"
)

// Why a container is refused. Any other error is the caller's: of its reader,
// its files or its context.
var (
	ErrUnsafeName = errors.New("refused as unsafe, ask for an export of plain files with plain names")
	ErrBomb       = errors.New("refused as a decompression bomb")
	ErrEncrypted  = errors.New("encrypted, ask for an unencrypted export")
	ErrCorrupt    = errors.New("container is corrupt or of a kind not supported, ask for a new export")
)

// Create opens the content file for an entry. The name is the entry's own, a
// tar's without the "./" before it: in UTF-8, with slashes, local on every
// operating system, and no other entry's in any case or normal form. The file
// is closed once, whatever happens. For a zip, several goroutines call it at
// once.
type Create func(name string) (io.WriteCloser, error)

// Limits bound what a container may unpack to. The zero value of a field
// means its default.
//
// The defaults stop what no export is, and let every export pass: entries
// can't overlap, and deflate expands at most 1032 times, so an ordinary zip
// that was promised at n bytes never takes more than 1032 n on disk. A caller
// who knows how much room there is sets Bytes to that.
type Limits struct {
	// Bytes of all entries as decoded; of a tar, of the whole stream, headers
	// and padding too. Default 1 TiB: the largest exports are hundreds of GB.
	Bytes int64
	// EntryBytes of one entry as decoded. Default: as many as Bytes, since one
	// entry may be the whole export.
	EntryBytes int64
	// Entries: files and directories, and the directories that names imply.
	// Default 1,000,000: some 200 MB of memory, and so many inodes.
	Entries int
	// Ratio of decoded to encoded bytes for each entry of a zip over 1 MiB.
	// Default 1100: beyond what deflate can do, so that rows which are all
	// alike pass, and far below the 30,000 of which zstd is capable.
	Ratio int64
	// Room is asked, once all headers of a zip are checked, whether so many bytes
	// can be held; nil is yes. What it returns comes back as it is.
	Room func(bytes int64) error
}

func (l Limits) orDefault() Limits {
	l.Bytes = cmp.Or(l.Bytes, 1<<40)
	l.EntryBytes = cmp.Or(l.EntryBytes, l.Bytes)
	l.Entries = cmp.Or(l.Entries, 1_000_000)
	l.Ratio = cmp.Or(l.Ratio, 1100)
	return l
}

// check refuses an entry by its declared size, given that of all before it.
func (l Limits) check(decoded uint64, before int64) error {
	switch {
	case decoded > uint64(max(l.EntryBytes, 0)):
		return overLimit(LimitDecoded, "%d bytes are over the limit of %d bytes for an entry", decoded, l.EntryBytes)
	case decoded > uint64(max(l.Bytes-before, 0)):
		return overLimit(LimitDecoded, "%d bytes after %d are over the limit of %d bytes in all", decoded, before, l.Bytes)
	}
	return nil
}

// checkRatio refuses an entry that declares to expand too much.
func (l Limits) checkRatio(encoded, decoded uint64) error {
	if decoded > 1<<20 && decoded/uint64(max(l.Ratio, 1)) > encoded {
		return overLimit(LimitDecoded, "%d bytes in %d are over the limit of %d to 1", decoded, encoded, l.Ratio)
	}
	return nil
}

// A LimitError says which limit stopped a decompression bomb. It wraps ErrBomb.
type LimitError struct {
	Limit  Limit
	Reason string // what was over which limit
}

// A Limit is one that a caller can raise.
type Limit string

// The limits of a LimitError.
const (
	LimitDecoded Limit = "decoded bytes"
	LimitEntries Limit = "entries"
	LimitSize    Limit = "size" // of an object as transferred
)

// Error tells the reason.
func (e *LimitError) Error() string { return e.Reason + ": " + ErrBomb.Error() }

// Unwrap returns ErrBomb.
func (e *LimitError) Unwrap() error { return ErrBomb }

func overLimit(limit Limit, format string, args ...any) error {
	return &LimitError{limit, fmt.Sprintf(format, args...)}
}

func unsafeName(format string, args ...any) error { return refuse(ErrUnsafeName, format, args...) }
func bomb(format string, args ...any) error       { return refuse(ErrBomb, format, args...) }
func encrypted(format string, args ...any) error  { return refuse(ErrEncrypted, format, args...) }
func corrupt(format string, args ...any) error    { return refuse(ErrCorrupt, format, args...) }

func refuse(kind error, format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), kind)
}

// cut tells a container that ends too early from a failure to read it.
func cut(what string, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return corrupt("%s is cut short", what)
	}
	return fmt.Errorf("read %s: %w", what, err)
}

// A source is what a decoder reads. It keeps its failure, which the decoder
// may rephrase.
type source struct {
	io.Reader
	err error // not io.EOF
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}
