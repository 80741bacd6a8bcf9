package unpack

import (
	"archive/tar"
	"bytes"
	"strconv"
	"strings"
)

const (
	tarBlock    = 512
	maxTarHeads = 4 << 20 // bytes of headers that one entry may have
)

// IsTar reports whether a file that begins with head is a tar, of any dialect that
// GNU tar and bsdtar read: by the header's checksum, and by a magic that begins
// "ustar" or, for the tar of Unix v7, by numbers where a header has them. Text is
// none, since a header holds NULs. If head has the magic of POSIX or of GNU, which
// hold one, but a wrong checksum, it is a damaged tar instead. IsTar needs 512
// bytes.
func IsTar(head []byte) (isTar, isDamaged bool) {
	if len(head) < tarBlock {
		return false, false
	}
	head = head[:tarBlock]
	magic := string(head[257:265])
	known := magic == "ustar\x0000" || magic == "ustar  \x00"
	isTar = bytes.IndexByte(head, 0) >= 0 && (strings.HasPrefix(magic, "ustar") || hasTarNumbers(head)) && hasTarChecksum(head)
	return isTar, known && !isTar
}

// hasTarNumbers reports whether a header has a name, and where mode, owner, group,
// size and time are nothing but octal numbers.
func hasTarNumbers(header []byte) bool {
	notOctal := func(r rune) bool { return r < '0' || r > '7' }
	for _, field := range [][]byte{header[100:108], header[108:116], header[116:124], header[124:136], header[136:148]} {
		if number := bytes.Trim(field, " \x00"); bytes.ContainsFunc(number, notOctal) {
			return false
		}
	}
	return header[0] != 0
}

// hasTarChecksum reports whether the checksum of a header is right: the sum of
// its bytes, with the checksum itself as spaces. Some writers add signed bytes.
func hasTarChecksum(header []byte) bool {
	sum, err := strconv.ParseInt(strings.Trim(string(header[148:156]), " \x00"), 8, 64)
	unsigned, signed := int64(8*' '), int64(8*' ')
	for i, b := range header {
		if i < 148 || i >= 156 {
			unsigned += int64(b)
			signed += int64(int8(b))
		}
	}
	return err == nil && (sum == unsigned || sum == signed)
}

// Types of entries of GNU tar. Readers take no content from either.
const (
	volumeLabel   = 'V'
	dumpDirectory = 'D' // of an incremental backup, with the names in it as content
)

// tarTypes are the types of entries that are never unpacked.
var tarTypes = map[byte]string{
	tar.TypeLink:      "hard link",
	tar.TypeSymlink:   "symbolic link",
	tar.TypeChar:      "character device",
	tar.TypeBlock:     "block device",
	tar.TypeFifo:      "named pipe",
	tar.TypeCont:      "contiguous file",
	tar.TypeGNUSparse: "sparse file",
}

// accept refuses everything but plain files and directories. It returns the name of
// the file of an entry that may be unpacked. "tar -c ." writes names with a leading
// "./", which is removed, and a directory of just that, whose name is ""
// here. So is that of a label.
func (t *untar) accept(h *tar.Header) (string, error) {
	isDirectory := h.Typeflag == tar.TypeDir || h.Typeflag == dumpDirectory
	switch kind, special := tarTypes[h.Typeflag]; {
	case special:
		return "", unsafeName("is a %s", kind)
	case h.Typeflag == volumeLabel && h.Size == 0:
		return "", nil
	case h.Typeflag != tar.TypeReg && !isDirectory:
		return "", unsafeName("is of the unknown type %q", h.Typeflag)
	case h.Typeflag == tar.TypeDir && h.Size != 0:
		return "", corrupt("is a directory with %d bytes of content", h.Size)
	case !isDirectory && (h.Name == "" || strings.HasSuffix(h.Name, "/")):
		return "", unsafeName("is a file without a name or with a slash at its end")
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return "", unsafeName("is a sparse file")
		}
	}
	if err := checkMode(isDirectory, uint32(h.Mode)); err != nil {
		return "", err
	}
	name := h.Name
	if isDirectory {
		name = strings.TrimSuffix(name, "/") + "/"
	}
	name = strings.TrimPrefix(name, "./")
	if name == "" {
		return "", nil
	}
	file, err := t.names.add(name)
	if err != nil {
		return "", err
	}
	return file, t.limits.checkSize(uint64(h.Size), t.decoded)
}

// checkGlobal refuses a global header with records that only a single entry can
// have, since some readers apply them to all entries that follow and some don't.
// A comment, which git writes, passes. The global header must not follow a header
// of an entry, which would be lost.
func checkGlobal(h *tar.Header, heads tarHeads) error {
	if len(heads) < tarBlock || heads[156] != tar.TypeXGlobalHeader {
		return corrupt("tar has a global header behind that of an entry")
	}
	for key := range h.PAXRecords {
		if key == "path" || key == "linkpath" || key == "size" || key == "hdrcharset" || strings.HasPrefix(key, "GNU.") {
			return corrupt("tar has a global header of %q", key)
		}
	}
	return nil
}

// A tarHeads is all headers of one entry: first those that extend its own header,
// each with its content, then its own.
type tarHeads []byte

// The headers that extend the one of the entry behind them.
const (
	recordsHead  = tar.TypeXHeader
	nameHead     = tar.TypeGNULongName
	linkNameHead = tar.TypeGNULongLink
)

// check refuses headers that two readers could understand in two ways: two that
// say the same, a record that is there twice, and a size that differs from the
// one in the entry's own header, by which other readers would look for the next
// entry elsewhere. A size for which that header has no room may be anything
// there.
func (b tarHeads) check(h *tar.Header) error {
	seen := map[byte]bool{}
	for len(b) > tarBlock {
		kind, size := b[156], b.size()
		if seen[kind] || seen[recordsHead] || kind == recordsHead && len(seen) > 0 {
			return corrupt("has two headers that tell its name or more")
		}
		known := bytes.IndexByte([]byte{recordsHead, nameHead, linkNameHead}, kind) >= 0
		if !known || size < 0 || size > int64(len(b)-tarBlock) {
			return nil // a sparse file, which is refused
		}
		seen[kind] = true
		if kind == recordsHead {
			if err := checkRecords(b[tarBlock : tarBlock+size]); err != nil {
				return err
			}
		}
		b = b[min(int64(len(b)), tarBlock+(size+tarBlock-1)/tarBlock*tarBlock):]
	}
	isOdd := false
	if len(b) == tarBlock {
		magic := string(b[257:265])
		isOdd = strings.HasPrefix(magic, "ustar") && magic[5] != 0 && magic != "ustar  \x00"
	}
	if isOdd && len(bytes.Trim(b[345:500], "\x00")) > 0 {
		return corrupt("has a prefix of its name that only some readers see")
	}
	const maxOctal = 1 << 33 // 11 octal digits
	if _, ok := h.PAXRecords["size"]; ok && h.Size < maxOctal && len(b) == tarBlock && b.size() != h.Size {
		return corrupt("has %d bytes by one header and %d by another", h.Size, b.size())
	}
	return nil
}

// size returns the size in the first of the headers, or -1 if it does not parse.
// It is octal, or binary if the highest bit is set.
func (b tarHeads) size() int64 {
	field := b[124:136]
	if field[0]&0x80 == 0 {
		n, err := strconv.ParseInt(string(bytes.Trim(field, " \x00")), 8, 64)
		if err != nil && len(bytes.Trim(field, " \x00")) > 0 {
			return -1
		}
		return n
	}
	n := int64(field[0] & 0x7f)
	for _, c := range field[1:] {
		if n >= 1<<55 {
			return -1
		}
		n = n<<8 | int64(c)
	}
	return n
}

// checkRecords refuses records of which two have one key.
func checkRecords(b []byte) error {
	seen := map[string]bool{}
	for len(b) > 0 {
		digits, _, _ := bytes.Cut(b, []byte(" "))
		n, err := strconv.Atoi(string(digits))
		if err != nil || n <= len(digits) || n > len(b) {
			return corrupt("has records that do not parse")
		}
		key, _, _ := bytes.Cut(b[len(digits)+1:n], []byte("="))
		if seen[string(key)] {
			return corrupt("has two records of %.100q", key)
		}
		seen[string(key)] = true
		b = b[n:]
	}
	return nil
}
