package verify

import (
	"bytes"
	"strings"
)

// formatText is the beginning of the content types that Text makes, and the format
// of their counts.
const formatText = "text"

// Text is the content type of text whose records are ended or separated by a
// delimiter of one byte. With a delimiter of any other length the records can't be
// counted. Blank records don't count. A record that is a JSON object or array may
// contain the delimiter, unless that is a newline.
func Text(delimiter string) string { return formatText + delimiter }

// textRecords counts records with a delimiter, as Text describes them.
type textRecords struct {
	delimiter byte
	rows      int64
	filled    bool // the record so far is not blank
	depth     int  // of brackets in the JSON that the record begins with
	quoted    bool // in a string of it
	escaped   bool // by a backslash before
}

func (t *textRecords) write(p []byte) {
	for len(p) > 0 {
		if t.depth > 0 {
			p = t.skipJSON(p)
			continue
		}
		if !t.filled {
			if p = t.begin(p); len(p) == 0 || t.depth > 0 {
				continue
			}
		}
		n := bytes.IndexByte(p, t.delimiter)
		if n < 0 {
			return
		}
		t.rows++
		t.filled = false
		p = p[n+1:]
	}
}

// begin skips blanks, and finds out whether the record that follows is JSON. It
// returns what follows the first byte of JSON, or begins with that of other text.
func (t *textRecords) begin(p []byte) (rest []byte) {
	for i, c := range p {
		if c == t.delimiter || strings.IndexByte(" \t\r\n", c) >= 0 {
			continue
		}
		t.filled = true
		if t.delimiter != '\n' && (c == '{' || c == '[') {
			t.depth = 1
			i++
		}
		return p[i:]
	}
	return nil
}

// skipJSON returns what follows the JSON that the record begins with.
func (t *textRecords) skipJSON(p []byte) (rest []byte) {
	for i, c := range p {
		switch {
		case t.escaped:
			t.escaped = false
		case t.quoted && c == '\\':
			t.escaped = true
		case c == '"':
			t.quoted = !t.quoted
		case t.quoted:
		case c == '{' || c == '[':
			t.depth++
		case c == '}' || c == ']':
			if t.depth--; t.depth == 0 {
				return p[i+1:]
			}
		}
	}
	return nil
}

func (t *textRecords) count() Count {
	rows := t.rows
	if t.filled {
		rows++
	}
	return Count{formatText, rows}
}
