package fetch

import (
	"bytes"
	"fmt"
	"path"
	"strings"
)

// misnamed refuses an object that is not encoded though its name says so. The
// name does not choose how it is decoded, and it may lie: text and Parquet land
// as they are. But what begins like neither is taken for encoded bytes that are
// damaged, since it would land as if it had been decoded.
func (d *decoding) misnamed(head []byte) error {
	suffix := encodedSuffix(d.object.Name)
	switch {
	case suffix == "":
		return nil
	case len(head) == 0:
		return fmt.Errorf("its name ends in %s, and it has no bytes, as nothing encoded has", suffix)
	case isText(head) || bytes.HasPrefix(head, []byte("PAR1")):
		return nil
	}
	return fmt.Errorf("its name ends in %s, but it begins neither so nor as text does", suffix)
}

// encodedSuffix is that of a codec or of a zip, or "". A tar of old has no
// magic, so that one is content.
func encodedSuffix(name string) string {
	if suffix := strings.TrimPrefix(name, withoutCodec(name)); suffix != "" {
		return suffix
	}
	if extension := path.Ext(name); strings.EqualFold(extension, ".zip") {
		return extension
	}
	return ""
}

// isText reports whether there is no control character in it that text is
// without. UTF-16 has a mark before it.
func isText(head []byte) bool {
	if bytes.HasPrefix(head, []byte("\xff\xfe")) || bytes.HasPrefix(head, []byte("\xfe\xff")) {
		return true
	}
	return !bytes.ContainsFunc(head, func(r rune) bool {
		return r < ' ' && !strings.ContainsRune("\t\n\v\f\r\x1b", r)
	})
}
