// Package unpack unpacks one container, a zip or a tar, into content files.
// Entries that are containers themselves stay as they are.
//
// It is as strict as the strictest reader: if two readers could understand
// something in two ways, or if it could be an attack, the whole container is
// refused.
//
// Its words:
//
//   - An entry is a file or a directory of a container.
//   - The local header of a zip's entry precedes its content; the central header
//     is in the directory, near the end of the file; the end records tell where
//     the directory is.
//   - Encoded and decoded are the content of an entry as the container holds it,
//     and as the file gets it.
//   - A bomb is a container that would use up disk or memory.
//
// A zip is checked before anything is unpacked:
//
//	end records → directory → local headers → content
//
// Every byte of a zip belongs to one local header, to the content of one entry,
// to one data descriptor, to the directory or to the end records, or is a zero
// that fills the last block. So nothing can be hidden, or unpacked twice. The size of each entry is declared and added up
// beforehand, and unpacking stops there.
package unpack

import (
	"cmp"
	"errors"
	"fmt"
	"io"

	"tallyman/fetch/internal/memory"
)

// Why a container is refused. Every other error is the caller's: of its reader,
// its files or its context.
var (
	ErrUnsafeName = errors.New("refused as unsafe, ask for an export of plain files with plain names")
	ErrBomb       = errors.New("refused as a decompression bomb")
	ErrEncrypted  = errors.New("encrypted, ask for an unencrypted export")
	ErrCorrupt    = errors.New("container is corrupt or of a kind not supported, ask for a new export")
)

// Create opens the content file of an entry. The name is the entry's own, in which
// what some operating system can't hold is escaped (see
// [filename.EscapePortable]); that of a tar's entry is without a leading "./". It
// is UTF-8 with slashes, local on every operating system, and differs from every
// other name in any case and any normal form. The file is closed once, also after an error. For a zip, several
// goroutines call Create at once.
type Create func(name string) (io.WriteCloser, error)

// Limits bound what a container may unpack to. A field of 0 means its default.
//
// The defaults let every export pass. Entries of a zip can't overlap, and deflate
// expands at most 1032 times, so an ordinary zip of n bytes never takes more than
// 1032 n bytes on disk. A caller that knows how much space there is sets Bytes.
type Limits struct {
	// Bytes of all entries, decoded; for a tar of the whole stream, with headers
	// and padding. Default 1 TiB: the largest exports are hundreds of GB.
	Bytes int64
	// EntryBytes of one entry, decoded. Default: Bytes, since one entry may be the
	// whole export.
	EntryBytes int64
	// Entries: files, directories, and the directories that names imply. Default
	// 1,000,000: about 200 MB of memory, and as many inodes.
	Entries int
	// Ratio of decoded to encoded bytes for each entry of a zip over 1 MiB.
	// Default 1100: more than deflate can do, so that rows which are all alike
	// pass, and far less than the 30,000 that zstd can do.
	Ratio int64
	// Reserve is called once all headers of a zip are checked, with the bytes that it
	// will unpack to. If it returns an error, Zip returns that. It may be nil.
	Reserve func(bytes int64) error
	// Memory is where decoders of entries take their windows from.
	Memory memory.Account
}

func (l Limits) withDefaults() Limits {
	l.Bytes = cmp.Or(l.Bytes, 1<<40)
	l.EntryBytes = cmp.Or(l.EntryBytes, l.Bytes)
	l.Entries = cmp.Or(l.Entries, 1_000_000)
	l.Ratio = cmp.Or(l.Ratio, 1100)
	return l
}

// checkSize refuses an entry that declares too many bytes. before is the sum of
// the entries before it.
func (l Limits) checkSize(decoded uint64, before int64) error {
	switch {
	case decoded > uint64(max(l.EntryBytes, 0)):
		return overLimit(LimitDecoded, "%d bytes are over the limit of %d bytes for an entry", decoded, l.EntryBytes)
	case decoded > uint64(max(l.Bytes-before, 0)):
		return overLimit(LimitDecoded, "%d bytes after %d are over the limit of %d bytes in all", decoded, before, l.Bytes)
	}
	return nil
}

// A LimitError says which limit a container exceeded. It wraps ErrBomb.
type LimitError struct {
	Limit  Limit
	Reason string // what exceeded it, with both numbers
}

// A Limit is one that the caller can raise.
type Limit string

// The limits of a LimitError.
const (
	LimitDecoded Limit = "decoded bytes"
	LimitEntries Limit = "entries"
	LimitSize    Limit = "size"   // of an object as transferred
	LimitMemory  Limit = "memory" // of all decoders together
)

// Error returns the reason.
func (e *LimitError) Error() string { return e.Reason + ": " + ErrBomb.Error() }

// Unwrap returns ErrBomb.
func (e *LimitError) Unwrap() error { return ErrBomb }

// WindowError returns err as an ErrBomb if it is a *memory.WindowError, and else
// as it is.
func WindowError(err error) error {
	e, ok := errors.AsType[*memory.WindowError](err)
	switch {
	case !ok:
		return err
	case e.Limit < memory.MaxWindow && e.Window <= memory.MaxWindow:
		return overLimit(LimitMemory, "%v", e)
	}
	return bomb("%v", e)
}

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

// readError tells a container that ends too early from a failure to read it.
func readError(what string, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return corrupt("%s is cut short", what)
	}
	return fmt.Errorf("read %s: %w", what, err)
}
