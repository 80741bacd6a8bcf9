package decode

import (
	"path"
	"slices"
	"strings"

	"tallyman/fetch/internal/filename"
)

// Names gives an object's content files their names below data/ of the bag.
type Names struct {
	Object  string // the name of the object, which may be a path
	Base    string // the name that its content gets, still with the suffix of a codec
	Content string // the type of the content that the job declares: "csv", or ""
	Only    bool   // it is the only object of its export

	// Taken reports whether a name belongs to another object of the export, or is a
	// directory of one. It is nil if no name is taken.
	Taken func(name string) bool
}

// Own returns the object's own name, as a file can have it.
func (n Names) Own() string { return filename.Escape(n.Base, filename.Unix) }

// Decoded returns the name that the content gets if no other object has it: one
// without the suffix of a codec, and with the extension of what it holds.
func (n Names) Decoded() string {
	base, _ := cutCodecSuffix(n.Base)
	object, _ := cutCodecSuffix(n.Object)
	extension := path.Ext(object)
	if extension == "" && n.Content != "" {
		extension = "." + n.Content
	}
	if !strings.EqualFold(path.Ext(base), extension) {
		base += extension
	}
	return filename.Escape(base, filename.Unix)
}

// File returns the name of the content file of an object that is no container.
func (n Names) File() string {
	name := n.Decoded()
	if _, suffix := cutCodecSuffix(n.Base); suffix == "" && n.isTaken(name) {
		name = n.Own()
	}
	return n.free(name)
}

// KeepEncoded reports whether another object has the name that the content would
// get, while the object's own name says that it is encoded, and is free. Then it
// is kept under that, as it is encoded.
func (n Names) KeepEncoded() bool {
	_, suffix := cutCodecSuffix(n.Base)
	return suffix != "" && n.isTaken(n.Decoded()) && !n.isTaken(n.Own())
}

// Encoded returns the name of the file of an object that is kept as it is
// encoded. It returns "" for a container, whose entries are files of their own.
// codec is as Result.Codec tells it. If it is not the one of the object's own
// name, no file gets that name.
func (n Names) Encoded(codec string) string {
	_, suffix := cutCodecSuffix(n.Base)
	suffixes := suffixesOf(codec)
	switch {
	case codec == "zip", strings.HasSuffix(codec, "tar"):
		return ""
	case slices.Contains(suffixes, strings.ToLower(suffix)):
		return n.Own()
	case codec == "":
		return n.File()
	}
	return n.File() + suffixes[0]
}

// Entry returns the name of the content file of an entry of a container.
func (n Names) Entry(entry string) string {
	if n.Only {
		return filename.Escape(entry, filename.Unix)
	}
	base, _ := cutCodecSuffix(n.Base)
	directory := filename.Escape(base, filename.Unix)
	if n.isTaken(directory) && !n.isTaken(n.Own()) {
		directory = n.Own()
	}
	return n.free(directory) + "/" + filename.Escape(entry, filename.Unix)
}

// Wire returns the name of the file with the bytes as transferred. It has the
// suffix of the object's name, or else that of codec (as Result.Codec tells it).
func (n Names) Wire(codec string) string {
	_, suffix := cutCodecSuffix(n.Object)
	if suffixes := suffixesOf(codec); suffix == "" && len(suffixes) > 0 {
		suffix = suffixes[0]
	}
	return n.free(n.Decoded() + suffix)
}

// suffixesOf returns the suffixes of files that are encoded so, the usual one
// first.
func suffixesOf(codec string) []string {
	codec, _, _ = strings.Cut(codec, "+")
	for _, f := range formats {
		if f.name == codec {
			return f.suffixes
		}
	}
	return nil
}

func (n Names) isTaken(name string) bool { return n.Taken != nil && n.Taken(name) }

// free returns the name if it is free, or else one with a hash of the object's
// name.
func (n Names) free(name string) string {
	directory, last := path.Split(name)
	for text := n.Object; n.isTaken(name); text += "~" {
		name = directory + filename.WithHash(last, text)
	}
	return name
}
