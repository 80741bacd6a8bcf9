package verify

import "bytes"

// csvRecords counts rows as encoding/csv does, but with any of the usual
// delimiters, and with stray quotes taken as text.
type csvRecords struct {
	rows   int64
	begun  bool // the line so far has a byte
	filled bool // it has more than its end, which may be CRLF
	quoted bool // within a quoted field
	opens  bool // a quote here opens a field, or reopens the one that was just closed

	start []byte // of the file, for its header
}

var delimiters = [256]bool{',': true, ';': true, '\t': true, '|': true}

func (c *csvRecords) write(p []byte) {
	if n := min(len(p), maxHeader-len(c.start)); n > 0 {
		c.start = append(c.start, p[:n]...)
	}
	c.countRows(p)
}

func (c *csvRecords) countRows(p []byte) {
	for len(p) > 0 {
		if c.quoted {
			n := bytes.IndexByte(p, '"')
			if n < 0 {
				return
			}
			c.quoted, c.opens = false, true
			p = p[n+1:]
			continue
		}
		n := bytes.IndexByte(p, '\n')
		if n < 0 {
			c.add(p)
			return
		}
		c.add(p[:n])
		p = p[n+1:]
		if c.quoted {
			continue // the newline is in a field
		}
		if c.filled {
			c.rows++
		}
		c.begun, c.filled, c.opens = false, false, true
	}
}

// add adds text without newlines to the line, and looks at its quotes. If a closing
// quote, a delimiter and an opening quote follow each other, all three are taken at
// once: rows of quoted fields are counted nearly twice as fast.
func (c *csvRecords) add(text []byte) {
	if len(text) == 0 {
		return
	}
	c.filled = c.begun || string(text) != "\r"
	c.begun = true
	for n := bytes.IndexByte(text, '"'); n >= 0; n = bytes.IndexByte(text, '"') {
		before, behind := text[:n], text[n+1:]
		text = behind
		switch {
		case c.quoted && len(behind) > 1 && behind[1] == '"' && delimiters[behind[0]]:
			text = behind[2:]
		case c.quoted:
			c.quoted, c.opens = false, true
		default:
			if len(before) > 0 {
				c.opens = delimiters[before[len(before)-1]]
			}
			c.quoted, c.opens = c.opens, false
		}
	}
	if len(text) > 0 {
		c.opens = delimiters[text[len(text)-1]]
	}
}

func (c *csvRecords) count() Count {
	rows := c.rows
	if c.filled {
		rows++
	}
	return Count{formatCSV, rows}
}
