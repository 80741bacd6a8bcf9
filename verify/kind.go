package verify

import (
	"bytes"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxExtension is the length of the longest extension that tells anything.
const maxExtension = 12

// silentExtensions say nothing of what a file is: they are those of unfinished
// and of unspecific files, and of programs that answer requests for any kind of
// file.
var silentExtensions = []string{
	".dat", ".data", ".download", ".dump", ".export", ".file", ".lst", ".out", ".part", ".tmp",
	".action", ".ashx", ".asp", ".aspx", ".cgi", ".do", ".jsp", ".php",
}

// Extension returns the extension of a name in lower case, with its dot. It is ""
// if the name has none, or one that does not tell what the file is: a number, a
// date, a word such as ".dat".
func Extension(name string) string {
	extension := strings.ToLower(path.Ext(name))
	isLetter := func(r rune) bool { return 'a' <= r && r <= 'z' }
	isOther := func(r rune) bool { return !isLetter(r) && (r < '0' || r > '9') }
	switch {
	case len(extension) < 2, len(extension) > maxExtension, len(extension) == len(path.Base(name)):
		return "" // too short, too long, or all of the name
	case strings.ContainsFunc(extension[1:], isOther), !strings.ContainsFunc(extension, isLetter), slices.Contains(silentExtensions, extension):
		return ""
	}
	return extension
}

// maxControls is one of how many bytes of UTF-8 text may be a control character.
// A table may have columns of bits and bytes.
const maxControls = 32

// binaryMagics are the first bytes of Avro, Parquet and PDF. What follows them may
// look like text.
var binaryMagics = [][]byte{[]byte("Obj\x01"), []byte("PAR1"), []byte("%PDF-")}

// IsText reports whether a file that begins with head may be text. Text is UTF-8
// with few control characters, or is in another encoding of single bytes or of
// East Asia, without any. No bytes are text.
func IsText(head []byte) bool {
	if slices.ContainsFunc(binaryMagics, func(magic []byte) bool { return bytes.HasPrefix(head, magic) }) {
		return false
	}
	controls := 0
	for _, c := range head {
		if c < ' ' && strings.IndexByte("\t\n\v\f\r\x1b", c) < 0 || c == 0x7f {
			controls++
		}
	}
	return controls == 0 || controls*maxControls <= len(head) && isUTF8(head)
}

// isUTF8 reports whether head is UTF-8, of which the last character may be cut.
func isUTF8(head []byte) bool {
	for n := 1; n < utf8.UTFMax && n <= len(head); n++ {
		if last := head[len(head)-n:]; utf8.RuneStart(last[0]) {
			if !utf8.FullRune(last) {
				head = head[:len(head)-n]
			}
			break
		}
	}
	return utf8.Valid(head)
}
