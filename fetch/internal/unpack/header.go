package unpack

// A header is what the central and the local header of an entry both have, in
// the same order (APPNOTE 4.3.7 and 4.3.12).
type header struct {
	version          uint16 // needed
	flags, method    uint16
	crc              uint32
	encoded, decoded wide // bytes
	nameSize         int
	extraSize        int
	name             fields
	extra            extra
}

const (
	maxVersion   = 63 // of APPNOTE times 10; beyond it we know nothing
	zip64Version = 45
)

// The flags of an entry (APPNOTE 4.4.4).
const (
	flagEncrypted  = 1<<0 | 1<<6 | 1<<13 // by a password, strongly, in the headers
	flagDescriptor = 1 << 3              // sizes and CRC-32 follow the content
	flagUTF8       = 1 << 11

	flagsKnown = 1<<1 | 1<<2 | flagDescriptor | flagUTF8 // 1 and 2: how hard deflate tried
)

const methodAES = 99

func parseHeader(f *fields) header {
	h := header{version: f.u16(), flags: f.u16(), method: f.u16()}
	f.take(4) // time and date
	h.crc = f.u32()
	h.encoded = wide{"encoded size", uint64(f.u32()), max32}
	h.decoded = wide{"decoded size", uint64(f.u32()), max32}
	h.nameSize, h.extraSize = int(f.u16()), int(f.u16())
	return h
}

// tail takes the name and the extra field from what follows the header.
func (h *header) tail(f *fields) (err error) {
	h.name = f.take(h.nameSize)
	h.extra, err = parseExtra(f.take(h.extraSize))
	return err
}

// check refuses what we can't or won't decode.
func (h *header) check() error {
	if h.flags&flagEncrypted != 0 || h.method == methodAES {
		return encrypted("flags %#04x, method %d", h.flags, h.method)
	}
	if err := h.extra.check(string(h.name)); err != nil {
		return err
	}
	switch _, known := methods[h.method]; {
	case !known:
		return corrupt("method %d is not supported", h.method)
	case h.flags&^flagsKnown != 0:
		return corrupt("flags %#04x are not supported", h.flags)
	case h.version > maxVersion:
		return corrupt("version %d.%d is not supported", h.version/10, h.version%10)
	}
	return nil
}
