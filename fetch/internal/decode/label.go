package decode

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"

	"tallyman/verify"
)

// A Result is what decoding found out about an object.
type Result struct {
	Codec   string // "zstd", "gzip+tar", "zip", "tar"; "" if the object is not encoded
	Checked bool   // the checksums of the codec or of the zip cover all of the content

	object      string
	mislabelled string // what is wrong with the label, or ""
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

// Accept decides about a mislabelled object once its bytes are proven. proof is
// the check that proved them, as verify names it. The object is accepted with
// the doubt that Accept returns if a hash proved it, or if only the wire is
// kept. Its size alone does not say what it is: then the error is a
// *MislabelledError. For every other object, Accept returns nothing.
func (r Result) Accept(proof string) (doubt string, err error) {
	switch {
	case r.mislabelled == "":
		return "", nil
	case proof == verify.CheckSize && !r.keepWire:
		return "", fmt.Errorf("decode %s: %w", r.object, &MislabelledError{r.mislabelled})
	}
	return fmt.Sprintf("misnamed: %s is as it came: %s", r.object, r.mislabelled), nil
}

// checkLabel looks at an object that is not encoded and begins with head. If its
// name or its job says that it is encoded, it would be stored as if it had been
// decoded. So it is refused, but for two cases, which Accept decides: it is such
// a file as its name without the suffix says (text or Parquet), or only the wire
// is kept.
func (d *decoding) checkLabel(head []byte) error {
	reason := d.mislabelling(head)
	name, _ := cutCodecSuffix(d.Names.Object)
	extension := strings.ToLower(path.Ext(name))
	isNamedType := isText(head) && (slices.Contains(textExtensions, extension) || extension == "" && d.Names.Content != "")
	if isParquet(head) {
		isNamedType = extension == ".parquet"
	}
	if reason != "" && !d.KeepWire && (len(head) == 0 || !isNamedType) {
		return &MislabelledError{reason}
	}
	d.result.object, d.result.mislabelled, d.result.keepWire = d.Names.Object, reason, d.KeepWire
	return nil
}

// mislabelling returns what is wrong with the label of an object that is not
// encoded, or "". Where the job itself declares that it is not encoded, text and
// Parquet may have any name.
func (d *decoding) mislabelling(head []byte) string {
	name := d.Names.Object
	_, suffix := cutCodecSuffix(name)
	if extension := path.Ext(name); suffix == "" && strings.EqualFold(extension, ".zip") {
		suffix = extension // .tar is not checked here: an old tar has no magic
	}
	known := isText(head) || isParquet(head)
	label := "its name ends in " + suffix
	if suffix == "" {
		label = "the job declares it as " + d.Coded
	}
	switch {
	case suffix == "" && (known || d.Coded == "" || d.Coded == "none"), known && len(head) > 0 && d.Coded == "none":
		return ""
	case len(head) == 0:
		return label + ", and it has no bytes, as nothing encoded has"
	case known:
		return label + ", but it begins as text does or Parquet, not as what is encoded"
	}
	return label + ", but it begins neither so nor as text does"
}

var textExtensions = []string{".csv", ".json", ".jsonl", ".log", ".ndjson", ".sql", ".tsv", ".txt", ".xml"}

func isParquet(head []byte) bool { return bytes.HasPrefix(head, []byte("PAR1")) }

// isText reports whether head has no control character that text does not have.
// UTF-16 is known by its byte order mark.
func isText(head []byte) bool {
	if bytes.HasPrefix(head, []byte("\xff\xfe")) || bytes.HasPrefix(head, []byte("\xfe\xff")) {
		return true
	}
	return !bytes.ContainsFunc(head, func(r rune) bool {
		return r < ' ' && !strings.ContainsRune("\t\n\v\f\r\x1b", r)
	})
}
