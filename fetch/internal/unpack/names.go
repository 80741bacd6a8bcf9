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

// checkName refuses a name that is not a plain relative path on every
// operating system. A directory's has no slash at its end here.
func checkName(name string) error {
	switch {
	case len(name) > maxName:
		return unsafeName("name has %d bytes, more than %d", len(name), maxName)
	case !utf8.ValidString(name):
		return unsafeName("name is not UTF-8 (a legacy code page?)")
	case strings.HasPrefix(name, "~"), strings.HasPrefix(name, "-"):
		return unsafeName("name is a home directory to shells, or an option to commands")
	}
	if i := strings.IndexFunc(name, forbidden); i >= 0 {
		c, _ := utf8.DecodeRuneInString(name[i:])
		return unsafeName("name holds %#U", c)
	}
	for element := range strings.SplitSeq(name, "/") {
		if fault := elementFault(element); fault != "" {
			return unsafeName("name %s", fault)
		}
	}
	return nil
}

// forbidden are characters that separate, name a drive or a stream, control,
// or are not seen: format characters turn the direction of text around.
func forbidden(c rune) bool {
	return c == '\\' || c == ':' || unicode.In(c, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

func elementFault(e string) string {
	switch {
	case e == "":
		return "is absolute or has an empty element"
	case e == "." || e == "..":
		return "has the element " + e
	case len(e) > maxElement:
		return "has an element of more than 255 bytes"
	case e[len(e)-1] == '.' || e[len(e)-1] == ' ':
		return "has an element that ends in a dot or a space"
	case isDevice(e):
		return "has an element that is a device on Windows"
	}
	return ""
}

// isDevice knows what Windows takes for a device in any directory, with any
// extension and in either case.
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

// names are those of a container so far. No two are the same on a file system
// that ignores case or normal form.
type names struct {
	seen  map[string]named // by folded name
	bytes int
	max   int // of names, listed and implied
	fold  cases.Caser
}

type named struct {
	name string
	kind nameKind
}

type nameKind byte

const (
	aFile nameKind = iota
	aDirectory
	anImplied // directory, of which only entries below it tell
)

func newNames(limits Limits) *names {
	return &names{seen: map[string]named{}, max: limits.Entries, fold: cases.Fold()}
}

// add takes in a name. A directory's ends in a slash; alone, that is refused.
func (n *names) add(name string) error {
	plain, isDirectory := strings.CutSuffix(name, "/")
	if err := checkName(plain); err != nil {
		return err
	}
	if n.bytes += len(name); n.bytes > maxAllNames {
		return bomb("all names have over %d bytes together, which is the limit", maxAllNames)
	}
	kind := aFile
	if isDirectory {
		kind = aDirectory
	}
	key := n.folded(plain)
	if _, err := n.insert(key, named{plain, kind}); err != nil {
		return err
	}
	return n.imply(key, plain)
}

// imply takes in the directories above a name, up to the first known one.
// Their keys are cut from the name's: made anew, deep names would cost the
// square of their length.
func (n *names) imply(key, name string) error {
	for strings.Contains(name, "/") {
		key, name = key[:strings.LastIndexByte(key, '/')], name[:strings.LastIndexByte(name, '/')]
		if known, err := n.insert(key, named{name, anImplied}); known || err != nil {
			return err
		}
	}
	return nil
}

// insert takes in a name by its key, and reports whether one was known by it.
func (n *names) insert(key string, new named) (known bool, err error) {
	old, known := n.seen[key]
	switch {
	case known:
		err = old.collision(new)
	case len(n.seen) >= n.max:
		err = overLimit(LimitEntries, "it is over the limit of %d entries", n.max)
	}
	if err == nil && (!known || new.kind == aDirectory) {
		n.seen[key] = new
	}
	return known, err
}

// collision refuses a second name with the same key. A directory may be
// implied many times and listed once.
func (old named) collision(new named) error {
	implied := old.kind == anImplied || new.kind == anImplied
	switch {
	case old.name != new.name:
		return unsafeName("names %.100q and %.100q are one on some systems", old.name, new.name)
	case (old.kind == aFile) != (new.kind == aFile):
		return unsafeName("name %.100q is a file and a directory", old.name)
	case !implied:
		return unsafeName("name %.100q is there twice", old.name)
	}
	return nil
}

// folded is the same for all names that some file system takes for one.
func (n *names) folded(name string) string {
	if isASCII(name) {
		return strings.ToLower(name)
	}
	return norm.NFC.String(n.fold.String(norm.NFD.String(name)))
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(c rune) bool { return c >= utf8.RuneSelf }) < 0
}
