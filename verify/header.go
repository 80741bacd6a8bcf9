package verify

import (
	"bytes"
	"encoding/csv"
	"strings"
	"unicode"
)

// maxHeader is how much of a CSV file is looked at for a header.
const maxHeader = 8 << 10

// Header reports whether the first row of a CSV file is a header, as far as it and
// the second row show it: all its fields are names, no two the same, and below one
// of them is a number or a time.
func (c *Counter) Header() bool {
	counted := c.records
	if counted == nil {
		counted = c.begin()
	}
	rows, ok := counted.(*csvRecords)
	if !ok {
		return false
	}
	line, _, _ := bytes.Cut(rows.start, []byte("\n"))
	comma := byte(',')
	for _, delimiter := range []byte(";\t|") {
		if bytes.Count(line, []byte{delimiter}) > bytes.Count(line, []byte{comma}) {
			comma = delimiter
		}
	}
	r := csv.NewReader(bytes.NewReader(rows.start))
	r.Comma, r.LazyQuotes = rune(comma), true
	first, err := r.Read()
	if err != nil {
		return false
	}
	second, err := r.Read() // fails if it has another number of fields
	if err != nil {
		return false
	}
	names, numbers := map[string]bool{}, 0
	for i, field := range first {
		name := strings.TrimSpace(field)
		if !isName(name) || names[name] {
			return false
		}
		names[name] = true
		if isNumber(second[i]) {
			numbers++
		}
	}
	return numbers > 0
}

// isName reports whether a field, without the space around it, may name a column.
func isName(name string) bool {
	const maxName = 128
	isOther := func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsDigit(r) && !strings.ContainsRune("_-.:@#/$%()[]* ", r)
	}
	return name != "" && len(name) <= maxName && strings.ContainsFunc(name, unicode.IsLetter) && !unicode.IsDigit(rune(name[0])) &&
		!strings.ContainsFunc(name, isOther)
}

// isNumber reports whether a field is a number, a date, a time or the like.
func isNumber(field string) bool {
	return strings.ContainsAny(field, "0123456789") && strings.Trim(field, "0123456789+-.,:/ TZeE") == ""
}
