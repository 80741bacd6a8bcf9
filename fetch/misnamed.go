package fetch

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"

	"tallyman/verify"
)

// misnamed refuses an object that is said to be encoded and is not, since it
// would land as if it had been decoded. Neither its name nor what the job
// declares chooses how it is decoded, and either may lie: one of text or of
// Parquet lands where the job says that it is not encoded, and is left to vouch
// where its name without the suffix says that it is such a file. What begins
// like neither is taken for damaged. Where objects are kept as they came, any is
// left to vouch.
func (d *decoding) misnamed(head []byte) error {
	fault := d.uncoded(head)
	if fault != "" && !d.asIs && !d.meant(head) {
		return misnamedError(fault)
	}
	d.fault = fault
	return nil
}

func misnamedError(fault string) error {
	return fmt.Errorf("%w: %s (--keep wire lands it as it came)", ErrCorrupt, fault)
}

// vouch has the last word on an object whose name is not true, once its bytes
// are proven: where a hash vouches for them, or they are kept as they came, it
// lands with a doubt. Its length says nothing of what it is.
func (d *decoding) vouch(proof string, doubt func(string)) error {
	switch {
	case d.fault == "":
		return nil
	case proof == verify.CheckSize && !d.asIs:
		return fmt.Errorf("decode %s: %w", d.object.Name, misnamedError(d.fault))
	}
	doubt(fmt.Sprintf("misnamed: %s is as it came: %s", d.object.Name, d.fault))
	return nil
}

// meant reports whether it is such a file as it would be once decoded.
func (d *decoding) meant(head []byte) bool {
	extension := strings.ToLower(path.Ext(withoutCodec(d.object.Name)))
	switch {
	case len(head) == 0:
		return false
	case isParquet(head):
		return extension == ".parquet"
	}
	return isText(head) && (slices.Contains(textExtensions, extension) || extension == "" && d.object.Content != "")
}

var textExtensions = []string{".csv", ".json", ".jsonl", ".log", ".ndjson", ".sql", ".tsv", ".txt", ".xml"}

func isParquet(head []byte) bool { return bytes.HasPrefix(head, []byte("PAR1")) }

// uncoded is what is wrong with an object that begins with head and is not
// encoded, or "".
func (d *decoding) uncoded(head []byte) string {
	suffix, coded := encodedSuffix(d.object.Name), d.object.Encoding
	plain := isText(head) || isParquet(head)
	said := "its name ends in " + suffix
	if suffix == "" {
		said = "the job declares it as " + coded
	}
	switch {
	case suffix == "" && (plain || coded == "" || coded == "none"), plain && len(head) > 0 && coded == "none":
		return ""
	case len(head) == 0:
		return said + ", and it has no bytes, as nothing encoded has"
	case plain:
		return said + ", but it begins as text does or Parquet, not as what is encoded"
	}
	return said + ", but it begins neither so nor as text does"
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
