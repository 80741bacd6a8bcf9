package unpack

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"tallyman/fetch/internal/filename"
)

const (
	maxName     = 4096      // bytes of a name
	maxAllNames = 256 << 20 // bytes of all names together
)

// overlong are the forms of ".", "/" and "\" that are no UTF-8, and that careless
// readers decode.
var overlong = strings.NewReplacer(
	"\xc0\xae", ".", "\xe0\x80\xae", ".", "\xc0\xaf", "/", "\xe0\x80\xaf", "/", "\xc1\x9c", `\`, "\xe0\x81\x9c", `\`)

// checkName refuses a name that leads elsewhere on some system, or that some
// reader takes for another. All else can be escaped. The name of a directory is
// without the slash at its end.
func checkName(name string) error {
	switch {
	case len(name) > maxName:
		return unsafeName("name has %d bytes, more than %d", len(name), maxName)
	case strings.Contains(name, "\x00"):
		return unsafeName("name holds %#U", 0)
	case len(name) > 1 && name[1] == ':' && (name[0]|0x20 >= 'a' && name[0]|0x20 <= 'z'):
		return unsafeName("name begins with a drive")
	case name == "~", strings.HasPrefix(name, "~") && strings.ContainsAny(name, `/\`):
		return unsafeName("name is in a home directory to shells")
	case name == "", strings.HasPrefix(name, `\`), strings.HasPrefix(name, "/"), strings.HasSuffix(name, "/"), strings.Contains(name, "//"):
		return unsafeName("name is absolute or has an empty element")
	}
	if !utf8.ValidString(name) {
		name = overlong.Replace(name)
	}
	for e := range strings.SplitSeq(strings.ReplaceAll(name, `\`, "/"), "/") {
		if strings.Contains(e, ".") && strings.Trim(e, ". ") == "" { // Windows drops dots and spaces at the end
			return unsafeName("name has the element %s", e)
		}
	}
	return nil
}

// names are the names of a container so far. Each element of a name becomes one of
// the file's name, and no two of these are the same on a file system that ignores
// case or normal form.
type names struct {
	seen  map[nameKey]name
	bytes int
	count int // names, listed and implied
	max   int
	fold  cases.Caser
	path  []byte // what add builds
}

// A nameKey is an element of a name in its directory. The element is that of the
// file's name in one case and one normal form. If that was taken, it is a zero and
// the element as the container has it.
type nameKey struct {
	directory int
	element   string
}

type name struct {
	text string // the element as the container has it
	file string // the element of the file's name
	id   int    // as a directory
	kind nameKind
}

type nameKind byte

const (
	fileName nameKind = iota
	directoryName
	impliedName // of a directory that is not listed, but has entries
)

func newNames(limits Limits) *names {
	return &names{seen: map[nameKey]name{}, max: limits.Entries, fold: cases.Fold()}
}

// add checks a name and adds it, with the directories above it. It returns the
// name of its file, in which what some system can't hold is escaped. The name of a
// directory ends in a slash.
func (n *names) add(text string) (file string, err error) {
	plain, isDirectory := strings.CutSuffix(text, "/")
	if err := checkName(plain); err != nil {
		return "", err
	}
	if n.bytes += len(text); n.bytes > maxAllNames {
		return "", bomb("all names have over %d bytes together, which is the limit", maxAllNames)
	}
	n.path = n.path[:0]
	directory, begin := 0, 0
	for e := range strings.SplitSeq(filename.Escape(plain, filename.Everywhere), "/") {
		element, _, more := strings.Cut(plain[begin:], "/")
		kind := fileName
		switch {
		case more:
			kind = impliedName
		case isDirectory:
			kind = directoryName
		}
		added, err := n.insert(directory, plain[:begin+len(element)], name{text: element, file: e, kind: kind})
		if err != nil {
			return "", err
		}
		if begin > 0 {
			n.path = append(n.path, '/')
		}
		n.path = append(n.path, added.file...)
		directory, begin = added.id, begin+len(element)+1
	}
	if string(n.path) == plain {
		return plain, nil // without a copy: there may be a million
	}
	return string(n.path), nil
}

// insert inserts an element of a name, whose path up to there is path. It refuses
// a second one, but for a directory: that may be implied many times, and listed
// once. Elements that differ in case or normal form alone get different files.
func (n *names) insert(directory int, path string, added name) (name, error) {
	key := nameKey{directory, n.folded(added.file)}
	old, known := n.seen[key]
	if known && old.text != added.text {
		taken := unsafeName("names %.100q and %.100q would be one file", old.text, added.text)
		if n.folded(old.text) != n.folded(added.text) {
			return name{}, taken // which of them is meant by the other's file is not plain
		}
		key.element = "\x00" + added.text
		if old, known = n.seen[key]; !known {
			added.file = filename.WithHash(added.file, added.text)
			reserved := nameKey{directory, n.folded(added.file)}
			if _, ok := n.seen[reserved]; ok {
				return name{}, taken
			}
			n.seen[reserved] = added
		}
	}
	switch {
	case !known && n.count >= n.max:
		return name{}, overLimit(LimitEntries, "it is over the limit of %d entries", n.max)
	case !known:
		n.count++
		added.id = n.count
		n.seen[key] = added
		return added, nil
	case (old.kind == fileName) != (added.kind == fileName):
		return name{}, unsafeName("name %.100q is a file and a directory", path)
	case old.kind != impliedName && added.kind != impliedName:
		return name{}, unsafeName("name %.100q is there twice", path)
	case added.kind == directoryName:
		old.kind = directoryName
		n.seen[key] = old
	}
	return old, nil
}

// folded returns text in one case and one normal form.
func (n *names) folded(text string) string {
	if strings.ContainsFunc(text, func(c rune) bool { return c >= utf8.RuneSelf }) {
		return norm.NFC.String(n.fold.String(norm.NFD.String(text)))
	}
	return strings.ToLower(text)
}
