package decode

import (
	"bytes"
	"cmp"
	"fmt"
	"path"
	"slices"

	"tallyman/verify"
)

// A Result is what decoding found out about an object.
type Result struct {
	Codec   string // "zstd", "gzip+tar", "zip", "tar"; "" if the object is not encoded
	Checked bool   // the checksums of the codec or of the zip cover all of the content

	// Refused is why a container was not unpacked, of which only the wire is kept.
	// Not all of its records were counted.
	Refused error

	doubt       string // a misnamed object that lands in any case, or ""
	object      string
	mislabelled string // what is wrong with the label of one that may not land, or ""
	keepWire    bool
}

// A MislabelledError says that an object's name or job claims an encoding that
// its bytes don't have.
type MislabelledError struct {
	Reason string // "its name ends in .gz, but it begins as text does or Parquet, …"
}

// Error returns the reason.
func (e *MislabelledError) Error() string { return ErrCorrupt.Error() + ": " + e.Reason }

// Unwrap returns ErrCorrupt.
func (e *MislabelledError) Unwrap() error { return ErrCorrupt }

// Accept decides about a mislabelled object, and about a container that was
// refused, once the bytes are proven. proof is the check that proved them, as
// verify names it. The object is accepted with the doubt that Accept returns if a
// hash proved it, and a mislabelled one also if only the wire is kept. Its size
// alone does not say what it is: then the error is a *MislabelledError, or the
// refusal. For every other object, Accept returns the doubt that decoding found, or
// nothing.
func (r Result) Accept(proof string) (doubt string, err error) {
	switch {
	case r.Refused != nil && proof == verify.CheckSize:
		return "", fmt.Errorf("decode %s: %w", r.object, r.Refused)
	case r.Refused != nil:
		return fmt.Sprintf("unread: %s is as it came: %s", r.object, r.Refused), nil //nolint:nilerr // the doubt says it
	case r.mislabelled == "":
		return r.doubt, nil
	case proof == verify.CheckSize && !r.keepWire:
		return "", fmt.Errorf("decode %s: %w", r.object, &MislabelledError{r.mislabelled})
	}
	return fmt.Sprintf("misnamed: %s is as it came: %s", r.object, r.mislabelled), nil
}

// checkLabel compares the bytes at hand, which are of the format found and begin
// with head, with what the name and the job say. It returns a suffix for the
// content file if its name would say something else than the bytes.
//
// What was decoded lands in any case, with a doubt if it is not what the name
// says. What came as it is may not be what its name says is encoded: Accept
// decides about that.
func (d *decoding) checkLabel(found string, head []byte) (suffix string, err error) {
	l, isDecoded := d.label(), d.result.Codec != ""
	claimed := l.formats()
	isLie := len(claimed) > 0 && !slices.Contains(claimed, found)
	isOwn := !slices.Contains(tableKinds, l.kind) && (!isDecoded || l.kind != "" && containers["."+found] != "") // as report.xlsx is zip
	switch {
	case partOfZip().MatchString(l.kind) && (found == "" || bytes.HasPrefix(head, []byte("PK"))): // only the first part need begin so
		d.result.doubt = fmt.Sprintf("misnamed: %s is named as a part of a split zip, which can't be checked alone", d.Names.Object)
	case found == "" && !isDecoded:
		return "", d.checkUnknown(l, head)
	case found == "" && isLie && !l.mayBe(head):
		d.result.doubt = fmt.Sprintf("misnamed: %s decodes to something else than its name says, which is %s", d.Names.Object, claimed[0])
	case found == "" || !isLie && (len(claimed) > 0 || isOwn):
	case isDecoded || !isLie:
		suffix = suffixOf(found)
		d.result.doubt = fmt.Sprintf("misnamed: %s is not what its name says, but %s: it is kept as that, %s", d.Names.Object, found, suffix)
	default:
		suffix = suffixOf(found)
		d.setMislabelled(fmt.Sprintf("its name ends in %s, but it is %s", path.Ext(d.Names.Object), found))
	}
	return suffix, nil
}

// checkUnknown looks at an object that is not encoded as far as its head tells. If
// its name or its job says that it is, it would be stored as if it had been
// decoded. So it is refused, but for the cases that Accept decides: it is such a
// file as its name without the suffix says (text, or a format of tables), its name
// is that of a format that is kept as it is anyway, it is empty, or only the wire
// is kept.
func (d *decoding) checkUnknown(l label, head []byte) error {
	reason := d.mislabelling(l, head)
	isText := looksLikeText(head)
	isNamedType := isText && (slices.Contains(textExtensions, l.kind) || l.kind == "" && d.Names.Content != "")
	if magic, ok := tableMagics[l.kind]; ok {
		isNamedType = bytes.HasPrefix(head, []byte(magic))
	}
	if reason != "" && !d.KeepWire && len(head) > 0 && !isNamedType && !l.isKept() {
		return &MislabelledError{reason}
	}
	d.setMislabelled(reason)
	return nil
}

func (d *decoding) setMislabelled(reason string) {
	d.result.object, d.result.mislabelled, d.result.keepWire = d.Names.Object, reason, d.KeepWire
}

// mislabelling returns what is wrong with the label of an object that is not
// encoded, or "". Where the job itself declares that it is not encoded, text and
// tables may have any name.
func (d *decoding) mislabelling(l label, head []byte) string {
	said, isClaimed := "its name ends in "+path.Ext(d.Names.Object), len(l.formats()) > 0
	if !isClaimed {
		said = "the job declares it as " + d.Coded
	}
	known := isTable(head) || looksLikeText(head)
	isDeclared := d.Coded != "" && d.Coded != "none"
	switch {
	case !isClaimed && (known || !isDeclared), known && len(head) > 0 && d.Coded == "none", isClaimed && l.mayBe(head):
		return ""
	case len(head) == 0:
		return said + ", and it has no bytes, as nothing encoded has"
	case bytes.HasPrefix(head, []byte("\x02\x21\x4c\x18")):
		return said + ", but it is of the old format of lz4, which has no checksum and is not decoded"
	case known:
		return said + ", but it begins as text does or Parquet, not as what is encoded"
	}
	return said + ", but it begins neither so nor as text does"
}

// mayBe reports whether a file that begins with head may be what the name says
// though no magic tells, since the format has none.
func (l label) mayBe(head []byte) bool {
	hasNoMagic := func(f format) bool { return f.magic == "" && slices.Contains(f.suffixes, cmp.Or(l.suffix, l.kind)) }
	return len(head) > 0 && !looksLikeText(head) && slices.ContainsFunc(keptFormats, hasNoMagic)
}

var textExtensions = []string{".csv", ".json", ".jsonl", ".log", ".ndjson", ".sql", ".tsv", ".txt", ".xml"}

// isTable reports whether head begins a file of a format of tables.
func isTable(head []byte) bool {
	for _, magic := range tableMagics {
		if bytes.HasPrefix(head, []byte(magic)) && !verify.IsText(head) {
			return true
		}
	}
	return false
}

// looksLikeText reports whether head may begin text. UTF-16 is known by its byte
// order mark.
func looksLikeText(head []byte) bool {
	return bytes.HasPrefix(head, []byte("\xff\xfe")) || bytes.HasPrefix(head, []byte("\xfe\xff")) || verify.IsText(head)
}
