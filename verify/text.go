package verify

import (
	"bytes"
	"strings"
)

// formatText is how the content types begin that Text gives, and the format
// that their counts tell.
const formatText = "text"

// Text is the content type of text whose records have a delimiter of one byte
// behind or between them, whatever is in them. A delimiter of any other length
// is that of records that can't be counted.
//
// A record that is blank counts for nothing. The delimiter may also stand in a
// record that is a JSON object or array, unless it is a newline.
func Text(delimiter string) string { return formatText + delimiter }

func newText(content string) records {
	delimiter := strings.TrimPrefix(content, formatText)
	if len(delimiter) != 1 {
		return uncountable{}
	}
	return &textRecords{delimiter: delimiter[0]}
}

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
			p = t.nested(p)
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
		t.end()
		p = p[n+1:]
	}
}

// begin looks at what a record begins with, and leaves out what is blank.
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

// nested goes through JSON to its end.
func (t *textRecords) nested(p []byte) (rest []byte) {
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

func (t *textRecords) end() {
	t.rows++
	t.filled = false
}

func (t *textRecords) count() Count {
	rows := t.rows
	if t.filled {
		rows++
	}
	return Count{formatText, rows}
}
