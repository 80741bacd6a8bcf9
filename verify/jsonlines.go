package verify

import (
	"bytes"
	"encoding/json"
)

// jsonRecords counts lines that are not blank. The first of them must be a
// whole JSON value and not an array: otherwise the file is one document.
type jsonRecords struct {
	rows     int64
	filled   bool   // the line so far is not blank
	first    []byte // the first record, until it was judged
	judged   bool
	document bool
}

// maxFirst is how much of the first record is looked at. One that is longer
// is taken to be whole.
const maxFirst = 1 << 20

func (j *jsonRecords) write(p []byte) {
	for len(p) > 0 && !j.document {
		n := bytes.IndexByte(p, '\n')
		if n < 0 {
			j.add(p)
			return
		}
		j.add(p[:n])
		p = p[n+1:]
		j.endLine()
	}
}

func (j *jsonRecords) add(text []byte) {
	if !j.filled {
		text = bytes.TrimLeft(text, " \t\r")
		j.filled = len(text) > 0
	}
	if !j.judged {
		j.addFirst(text)
	}
}

func (j *jsonRecords) addFirst(text []byte) {
	n := min(len(text), maxFirst+1-len(j.first))
	j.first = append(j.first, text[:n]...)
	if len(j.first) > maxFirst {
		j.judge()
	}
}

func (j *jsonRecords) judge() {
	j.document = isDocument(j.first)
	j.judged, j.first = true, nil
}

func isDocument(first []byte) bool {
	return first[0] == '[' || len(first) <= maxFirst && !json.Valid(first)
}

func (j *jsonRecords) endLine() {
	if !j.filled {
		return
	}
	if !j.judged {
		j.judge()
	}
	j.rows++
	j.filled = false
}

func (j *jsonRecords) count() Count {
	rows := j.rows
	if j.filled {
		rows++
	}
	if j.document || !j.judged && j.filled && isDocument(j.first) {
		return uncountable{}.count()
	}
	return Count{formatJSON, rows}
}
