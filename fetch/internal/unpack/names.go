package unpack

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

const (
	maxName     = 4096      // bytes of a name
	maxElement  = 255       // bytes of an element of a name
	maxAllNames = 256 << 20 // bytes of all names together
)

// checkName refuses a name that is not a plain relative path on every operating
// system. The name of a directory is without the slash at its end.
func checkName(name string) error {
	switch {
	case len(name) > maxName:
		return unsafeName("name has %d bytes, more than %d", len(name), maxName)
	case !utf8.ValidString(name):
		return unsafeName("name is not UTF-8 (a legacy code page?)")
	case strings.HasPrefix(name, "~"), strings.HasPrefix(name, "-"):
		return unsafeName("name is a home directory to shells, or an option to commands")
	}
	for _, c := range name {
		// These separate, name a drive or a stream, control, or are not seen: format
		// characters can turn the direction of text around.
		if c == '\\' || c == ':' || unicode.In(c, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
			return unsafeName("name holds %#U", c)
		}
	}
	for e := range strings.SplitSeq(name, "/") {
		switch {
		case e == "":
			return unsafeName("name is absolute or has an empty element")
		case e == "." || e == "..":
			return unsafeName("name has the element %s", e)
		case len(e) > maxElement:
			return unsafeName("name has an element of more than 255 bytes")
		case e[len(e)-1] == '.' || e[len(e)-1] == ' ':
			return unsafeName("name has an element that ends in a dot or a space")
		case isDevice(e):
			return unsafeName("name has an element that is a device on Windows")
		}
	}
	return nil
}

// isDevice reports whether Windows takes an element of a name for a device. It
// does so in every directory, with every extension and in either case.
func isDevice(e string) bool {
	base, _, _ := strings.Cut(e, ".")
	base = strings.ToUpper(strings.TrimRight(base, " "))
	switch base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	digit, port := strings.CutPrefix(base, "COM")
	if !port {
		digit, port = strings.CutPrefix(base, "LPT")
	}
	return port && utf8.RuneCountInString(digit) == 1 && strings.Contains("0123456789¹²³", digit)
}

// names are the names of a container so far. No two of them are the same on a
// file system that ignores case or normal form.
type names struct {
	seen  map[string]name // by key: the name in one case and one normal form
	bytes int
	max   int // names, listed and implied
	fold  cases.Caser
}

type name struct {
	text string
	kind nameKind
}

type nameKind byte

const (
	fileName nameKind = iota
	directoryName
	impliedName // of a directory that is not listed, but has entries
)

func newNames(limits Limits) *names {
	return &names{seen: map[string]name{}, max: limits.Entries, fold: cases.Fold()}
}

// add checks a name and adds it, with the directories above it. The name of a
// directory ends in a slash.
func (n *names) add(text string) error {
	kind := fileName
	plain, isDirectory := strings.CutSuffix(text, "/")
	if isDirectory {
		kind = directoryName
	}
	if err := checkName(plain); err != nil {
		return err
	}
	if n.bytes += len(text); n.bytes > maxAllNames {
		return bomb("all names have over %d bytes together, which is the limit", maxAllNames)
	}
	key := strings.ToLower(plain)
	if strings.ContainsFunc(plain, func(c rune) bool { return c >= utf8.RuneSelf }) {
		key = norm.NFC.String(n.fold.String(norm.NFD.String(plain)))
	}
	if _, err := n.insert(key, name{plain, kind}); err != nil {
		return err
	}
	// The directories above, up to the first known one. Their keys are cut from
	// that of the name: to make each anew would cost the square of its length.
	for strings.Contains(plain, "/") {
		key, plain = key[:strings.LastIndexByte(key, '/')], plain[:strings.LastIndexByte(plain, '/')]
		if known, err := n.insert(key, name{plain, impliedName}); known || err != nil {
			return err
		}
	}
	return nil
}

// insert inserts a name by its key, and reports whether the key was known. It
// refuses a second name with the same key, but for a directory: that may be
// implied many times, and listed once.
func (n *names) insert(key string, added name) (known bool, err error) {
	old, known := n.seen[key]
	switch {
	case !known && len(n.seen) >= n.max:
		return known, overLimit(LimitEntries, "it is over the limit of %d entries", n.max)
	case !known:
	case old.text != added.text:
		return known, unsafeName("names %.100q and %.100q are one on some systems", old.text, added.text)
	case (old.kind == fileName) != (added.kind == fileName):
		return known, unsafeName("name %.100q is a file and a directory", old.text)
	case old.kind != impliedName && added.kind != impliedName:
		return known, unsafeName("name %.100q is there twice", old.text)
	}
	if !known || added.kind == directoryName {
		n.seen[key] = added
	}
	return known, nil
}
