package verify

import (
	"bytes"
	"encoding/json"
)

// jsonRecords counts lines that are not blank. The first of them must be a
// complete JSON value and not an array. Otherwise the file is one document, whose
// records can't be counted.
type jsonRecords struct {
	rows     int64
	filled   bool   // the line so far is not blank
	first    []byte // the first record, until it is judged
	judged   bool
	document bool // what the first record was judged to be
}

// maxFirst is how many bytes of the first record are looked at. A longer one
// passes for complete.
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
		if !j.filled {
			continue
		}
		if !j.judged {
			j.judge()
		}
		j.rows++
		j.filled = false
	}
}

// add adds text without newlines to the line.
func (j *jsonRecords) add(text []byte) {
	if !j.filled {
		text = bytes.TrimLeft(text, " \t\r")
		j.filled = len(text) > 0
	}
	if j.judged {
		return
	}
	j.first = append(j.first, text[:min(len(text), maxFirst+1-len(j.first))]...)
	if len(j.first) > maxFirst {
		j.judge()
	}
}

// judge decides by the first record what the file is.
func (j *jsonRecords) judge() {
	j.document = isDocument(j.first)
	j.judged, j.first = true, nil
}

func isDocument(first []byte) bool {
	return first[0] == '[' || len(first) <= maxFirst && !json.Valid(first)
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
