package verify

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
)

// A First tells of the first record of a CSV file, which may be a header.
type First struct {
	// SHA256 is of the record as it stands, in hex, without the end of its line and without
	// a byte order mark. Of a record that is longer than 8 KiB it is of the first 8 KiB. It
	// is "" if there is no record, or if the file is no CSV.
	SHA256 string
	// Again is set if the second record is the same, or may be, as far as the first 8 KiB of
	// the file show.
	Again bool
}

// First tells of the first record of the file, if the file ends here. It looks at what was
// kept of the file's beginning, and so costs nothing for each record.
func (c *Counter) First() First {
	counted := c.records
	if counted == nil {
		counted = c.begin()
	}
	rows, ok := counted.(*csvRecords)
	if !ok {
		return First{}
	}
	isAll := len(rows.start) < maxHeader
	first, behind, ended := cutRecord(rows.start)
	if len(first) == 0 {
		return First{}
	}
	sum := sha256.Sum256(first)
	f := First{SHA256: hex.EncodeToString(sum[:])}
	second, _, secondEnded := cutRecord(behind)
	switch {
	case !ended && !isAll:
		f.Again = true
	case secondEnded || isAll:
		f.Again = bytes.Equal(first, second)
	default:
		f.Again = bytes.HasPrefix(first, second)
	}
	return f
}

// cutRecord returns the first record of CSV without the end of its line, and what is behind
// it. ended is false if the record goes on to the end of the text.
func cutRecord(text []byte) (record, behind []byte, ended bool) {
	line, begin := csvRecords{opens: true}, 0
	for at := 0; ; {
		n := bytes.IndexByte(text[at:], '\n')
		if n < 0 {
			return bytes.TrimSuffix(text[begin:], []byte("\r")), nil, false
		}
		end := at + n
		line.countRows(text[at : end+1])
		at = end + 1
		switch {
		case line.rows > 0:
			return bytes.TrimSuffix(text[begin:end], []byte("\r")), text[at:], true
		case !line.quoted:
			begin = at // the line was empty
		}
	}
}
