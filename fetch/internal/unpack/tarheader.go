package unpack

import (
	"archive/tar"
	"bytes"
	"strconv"
	"strings"
)

const tarBlock = 512

// IsTar reports whether a file that begins with head is a tar, by its first
// header: the magic of POSIX or of GNU, and the checksum. It needs 512 bytes.
// The tar of Unix v7 has no magic; of the few that are left none is an export,
// and eight digits that fit a sum are too little to tell it from a table.
func IsTar(head []byte) bool {
	return hasTarMagic(head) && tarSummed(head[:tarBlock])
}

// IsDamagedTar reports whether a file that begins with head has the magic of a
// tar, but a checksum that does not fit. Text has no such magic: it holds a NUL.
func IsDamagedTar(head []byte) bool {
	return hasTarMagic(head) && !tarSummed(head[:tarBlock])
}

func hasTarMagic(head []byte) bool {
	if len(head) < tarBlock {
		return false
	}
	magic := head[257:265]
	return bytes.Equal(magic, []byte("ustar\x0000")) || bytes.Equal(magic, []byte("ustar  \x00"))
}

// tarSummed reports whether the checksum of a header is right: the sum of its
// bytes, the checksum's own taken as spaces. Some writers summed signed bytes.
func tarSummed(header []byte) bool {
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

// tarTypes are the entries that are never unpacked, whatever they hold.
var tarTypes = map[byte]string{
	tar.TypeLink:      "hard link",
	tar.TypeSymlink:   "symbolic link",
	tar.TypeChar:      "character device",
	tar.TypeBlock:     "block device",
	tar.TypeFifo:      "named pipe",
	tar.TypeCont:      "contiguous file",
	tar.TypeGNUSparse: "sparse file",
}

// accept returns the name of an entry that may be unpacked.
func (t *untar) accept(h *tar.Header) (string, error) {
	if err := checkTarType(h); err != nil {
		return "", err
	}
	name := tarName(h)
	if name == "" {
		return "", nil
	}
	if err := t.names.add(name); err != nil {
		return "", err
	}
	return name, t.limits.check(uint64(h.Size), t.decoded)
}

// tarName is the name of an entry, a directory's with a slash at its end. What
// "tar -c ." writes begins with "./", and has a directory of just that: it is
// "" here.
func tarName(h *tar.Header) string {
	if h.Typeflag != tar.TypeDir {
		return strings.TrimPrefix(h.Name, "./")
	}
	return strings.TrimPrefix(strings.TrimSuffix(h.Name, "/")+"/", "./")
}

func checkTarType(h *tar.Header) error {
	isDirectory := h.Typeflag == tar.TypeDir
	switch kind, special := tarTypes[h.Typeflag]; {
	case special:
		return unsafeName("is a %s", kind)
	case h.Typeflag != tar.TypeReg && !isDirectory:
		return unsafeName("is of the unknown type %q", h.Typeflag)
	case isDirectory && h.Size != 0:
		return corrupt("is a directory with %d bytes of content", h.Size)
	case !isDirectory && (h.Name == "" || strings.HasSuffix(h.Name, "/")):
		return unsafeName("is a file without a name or with a slash at its end")
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return unsafeName("is a sparse file")
		}
	}
	return checkMode(isDirectory, uint32(h.Mode))
}

// checkGlobal refuses a global header of what one entry alone can have. Some
// readers apply it to all that follow, some don't. What git writes, a comment,
// passes, but not behind a header of the entry that follows, which would be lost
// to us.
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
