package verify

import (
	"bytes"
	"fmt"
	"strings"
)

// The formats whose records can be counted, and the words for the others.
const (
	formatCSV     = "csv"
	formatJSON    = "json"
	formatNone    = ""  // not countable
	formatUnknown = "?" // to be decided by the first bytes
)

// A Count is what was counted in one content file.
type Count struct {
	Format string // "csv", "json", "text", or "": not countable
	Rows   int64  // records, header row included; Unknown if not countable
}

// A Counter counts the records of the content file that is written to it: the
// rows of CSV that are not empty, the lines of JSON lines that are not blank, or
// the records of text. Write never fails. The count does not depend on how the
// file is divided into writes. A Counter is for one goroutine.
type Counter struct {
	format  string
	head    []byte // the file's first bytes, until records is made
	records records
}

type records interface {
	write(p []byte)
	count() Count
}

// NewCounter returns a Counter for a file of that name. Content is its declared
// type: "csv", "json", or what Text returns. Otherwise the extension of the name
// decides, before that of a codec if it has one, since decoded files may keep it.
// If that says nothing either, or only that it is text, the first bytes decide.
// Only text is counted, whatever the type and the name say; only records with a
// declared delimiter may hold anything.
func NewCounter(content, name string) *Counter {
	if content == formatCSV || content == formatJSON || strings.HasPrefix(content, formatText) {
		return &Counter{format: content}
	}
	extension := Extension(name)
	switch extension {
	case ".zst", ".zstd", ".gz", ".gzip", ".lz4":
		extension = Extension(name[:len(name)-len(extension)])
	}
	return &Counter{format: formats[extension]}
}

// formats are those of the extensions of countable text. Files of other
// extensions are not countable.
var formats = map[string]string{
	".csv": formatCSV, ".tsv": formatCSV,
	".json": formatJSON, ".jsonl": formatJSON, ".ndjson": formatJSON,
	".txt": formatUnknown, ".log": formatUnknown, "": formatUnknown,
}

const byteOrderMark = "\uFEFF"

// headSize is how many bytes of a file decide what it is.
const headSize = 512

// Write counts the records in p. It returns len(p), nil and keeps no reference to
// p.
func (c *Counter) Write(p []byte) (int, error) {
	rest := p
	if c.records == nil {
		n := min(len(p), headSize-len(c.head))
		c.head, rest = append(c.head, p[:n]...), p[n:]
		if len(c.head) < headSize {
			return len(p), nil
		}
		c.records = c.begin()
	}
	c.records.write(rest)
	return len(p), nil
}

// Count is the count of the file if it ends here. The last record needs no newline.
func (c *Counter) Count() Count {
	if c.records == nil {
		return c.begin().count()
	}
	return c.records.count()
}

// begin makes the counter of the format, and counts the head with it. If the
// format is unknown, the head decides, the first byte without a byte order mark.
// Text passes for CSV, and so does an empty file, which has no records in any
// format. UTF-16 is not countable.
func (c *Counter) begin() records {
	head, format := bytes.TrimPrefix(c.head, []byte(byteOrderMark)), c.format
	delimiter, isDelimited := strings.CutPrefix(format, formatText)
	switch {
	case bytes.HasPrefix(head, []byte("\xff\xfe")) || bytes.HasPrefix(head, []byte("\xfe\xff")):
		return uncountable{}
	case !isDelimited && !IsText(head):
		return uncountable{}
	case format == formatUnknown && len(head) > 0 && (head[0] == '{' || head[0] == '['):
		format = formatJSON
	case format == formatUnknown:
		format = formatCSV
	}
	var r records = uncountable{}
	switch {
	case isDelimited && len(delimiter) == 1:
		r = &textRecords{delimiter: delimiter[0]}
	case format == formatCSV:
		r = &csvRecords{opens: true}
	case format == formatJSON:
		r = &jsonRecords{}
	}
	r.write(head)
	return r
}

// uncountable is content whose records can't be counted.
type uncountable struct{}

func (uncountable) write([]byte) {}

func (uncountable) count() Count { return Count{Format: formatNone, Rows: Unknown} }

// CheckCounts compares the number of records that was promised with the counts of
// all files. It reports false if there was no promise. The promise holds with or
// without a header row in each CSV file that has rows. If a file is not countable,
// the promise is neither held nor broken.
func CheckCounts(promised int64, files []Count) (Check, bool) {
	if promised == Unknown {
		return Check{}, false
	}
	check := Check{Check: CheckRecords, Want: fmt.Sprint(promised)}
	var rows, headers int64
	for _, f := range files {
		if f.Format == formatNone {
			check.Got, check.Verdict = "not countable", NotComparable
			return check, true
		}
		rows += f.Rows
		if f.Format == formatCSV && f.Rows > 0 {
			headers++
		}
	}
	check.Got, check.Verdict = fmt.Sprint(rows), Broken
	switch {
	case rows == promised:
		check.Verdict = Held
	case rows-headers == promised && headers == 1:
		check.Got, check.Verdict = fmt.Sprintf("%d and a header row in 1 file", promised), Held
	case rows-headers == promised:
		check.Got, check.Verdict = fmt.Sprintf("%d and a header row in each of %d files", promised, headers), Held
	}
	return check, true
}
