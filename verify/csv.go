package verify

import "bytes"

// csvRecords counts lines as encoding/csv does, with any of the usual
// delimiters and with stray quotes taken as text.
type csvRecords struct {
	rows   int64
	size   int  // of the line so far
	first  byte // of the line
	quoted bool // within a quoted field
	opens  bool // a quote here opens a field, or opens again the one it has just closed
}

var delimiters = [256]bool{',': true, ';': true, '\t': true, '|': true}

func (c *csvRecords) write(p []byte) {
	for len(p) > 0 {
		if c.quoted {
			p = c.closeQuote(p)
			continue
		}
		n := bytes.IndexByte(p, '\n')
		if n < 0 {
			c.add(p)
			return
		}
		c.add(p[:n])
		p = p[n+1:]
		if !c.quoted {
			c.endLine()
		}
	}
}

func (c *csvRecords) closeQuote(p []byte) (rest []byte) {
	n := bytes.IndexByte(p, '"')
	if n < 0 {
		return nil
	}
	c.quoted, c.opens = false, true
	return p[n+1:]
}

// add goes through the quotes of a text without newlines.
func (c *csvRecords) add(text []byte) {
	if len(text) == 0 {
		return
	}
	if c.size == 0 {
		c.first = text[0]
	}
	c.size += len(text)
	for n := bytes.IndexByte(text, '"'); n >= 0; n = bytes.IndexByte(text, '"') {
		if c.quoted && betweenFields(text[n+1:]) {
			text = text[n+3:]
			continue
		}
		c.quote(text[:n])
		text = text[n+1:]
	}
	if len(text) > 0 {
		c.opens = delimiters[text[len(text)-1]]
	}
}

// betweenFields reports whether the next quoted field follows a closing quote
// at once. Seeing that makes rows of quoted fields nearly twice as fast.
func betweenFields(text []byte) bool {
	return len(text) > 1 && text[1] == '"' && delimiters[text[0]]
}

// quote takes one quote and the text between it and the one before.
func (c *csvRecords) quote(before []byte) {
	if c.quoted {
		c.quoted, c.opens = false, true
		return
	}
	if len(before) > 0 {
		c.opens = delimiters[before[len(before)-1]]
	}
	c.quoted, c.opens = c.opens, false
}

func (c *csvRecords) endLine() {
	if !c.empty() {
		c.rows++
	}
	c.size, c.opens = 0, true
}

func (c *csvRecords) empty() bool { return c.size == 0 || c.size == 1 && c.first == '\r' }

func (c *csvRecords) count() Count {
	if c.empty() {
		return Count{formatCSV, c.rows}
	}
	return Count{formatCSV, c.rows + 1}
}
