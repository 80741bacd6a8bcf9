package verify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"strings"
)

// The formats whose records can be counted, and what stands for the others.
const (
	formatCSV     = "csv"
	formatJSON    = "json"
	formatNone    = ""  // not countable
	formatUnknown = "?" // its first bytes will tell
)

// A Count is what was counted in one content file.
type Count struct {
	Format string // "csv", "json", or "": not countable
	Rows   int64  // records, header row included; Unknown if not countable
}

// A Counter counts the records of one content file as it is written to it:
// the rows of CSV that are not empty, or the lines of JSON lines that are not
// blank. Write never fails, and how the writes divide the file changes
// nothing.
type Counter struct {
	format  string
	head    []byte // the file's first bytes, kept until they tell what it is
	records records
}

type records interface {
	write(p []byte)
	count() Count
}

// NewCounter returns a Counter for a file of that name. Content is its
// declared type: "csv", "json", or "" for the name to tell; where that says
// nothing either, the first bytes do.
func NewCounter(content, name string) *Counter {
	if content != formatCSV && content != formatJSON {
		content = formatOf(name)
	}
	return &Counter{format: content}
}

var formats = map[string]string{
	".csv": formatCSV, ".tsv": formatCSV,
	".json": formatJSON, ".jsonl": formatJSON, ".ndjson": formatJSON,
	".sql": formatNone, ".parquet": formatNone, ".orc": formatNone, ".avro": formatNone,
	".carbondata": formatNone, ".xml": formatNone, ".html": formatNone, ".xls": formatNone,
	".xlsx": formatNone, ".pdf": formatNone, ".zip": formatNone, ".tar": formatNone,
	".bin": formatNone, ".dmp": formatNone, ".bak": formatNone,
	".ibd": formatNone, ".frm": formatNone, ".xb": formatNone, ".rdb": formatNone,
}

// formatOf looks behind the suffix of a codec: decoded files may keep it.
func formatOf(name string) string {
	name = strings.ToLower(name)
	switch ext := path.Ext(name); ext {
	case ".zst", ".zstd", ".gz", ".gzip", ".lz4":
		name = strings.TrimSuffix(name, ext)
	}
	if format, ok := formats[path.Ext(name)]; ok {
		return format
	}
	return formatUnknown
}

const byteOrderMark = "\uFEFF"

// headSize is a byte order mark and the byte behind it.
const headSize = len(byteOrderMark) + 1

// Write counts what p brings. It always takes all of p.
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

// Count is what the file holds if it ends here: the last record needs no
// newline.
func (c *Counter) Count() Count {
	if c.records == nil {
		return c.begin().count()
	}
	return c.records.count()
}

// begin starts the count with the head alone.
func (c *Counter) begin() records {
	text := bytes.TrimPrefix(c.head, []byte(byteOrderMark))
	r := newRecords(c.format, text)
	r.write(text)
	return r
}

func newRecords(format string, head []byte) records {
	if format == formatUnknown {
		format = sniff(head)
	}
	switch {
	case isUTF16(head):
	case format == formatCSV:
		return &csvRecords{opens: true}
	case format == formatJSON:
		return &jsonRecords{}
	}
	return uncountable{}
}

// sniff takes text for CSV, and a file of no bytes too, which has no records
// in any format.
func sniff(head []byte) string {
	switch {
	case len(head) > 0 && (head[0] == '{' || head[0] == '['):
		return formatJSON
	case bytes.HasPrefix(head, []byte("PAR1")) || bytes.ContainsFunc(head, isBinary):
		return formatNone
	}
	return formatCSV
}

func isBinary(r rune) bool {
	return r < ' ' && r != '\t' && r != '\r' && r != '\n' || r == 0x7f
}

func isUTF16(head []byte) bool {
	return bytes.HasPrefix(head, []byte("\xff\xfe")) || bytes.HasPrefix(head, []byte("\xfe\xff"))
}

type uncountable struct{}

func (uncountable) write([]byte) {}

func (uncountable) count() Count { return Count{Format: formatNone, Rows: Unknown} }

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

// CheckCounts compares the records that were promised with those of all
// files, and reports whether there was a promise at all. The promise holds
// with a header row in each CSV file or without; files that are not countable
// neither hold nor break it.
func CheckCounts(promised int64, files []Count) (Check, bool) {
	if promised == Unknown {
		return Check{}, false
	}
	check := Check{Check: CheckRecords, Want: fmt.Sprint(promised)}
	rows, headers, countable := sum(files)
	check.Got = fmt.Sprint(rows)
	switch {
	case !countable:
		check.Got, check.Verdict = "not countable", NotComparable
	case rows == promised:
		check.Verdict = Held
	case rows-headers == promised:
		check.Got, check.Verdict = withHeaders(promised, headers), Held
	default:
		check.Verdict = Broken
	}
	return check, true
}

// sum adds up the rows, and the files that may have a header row: a file
// without rows has none.
func sum(files []Count) (rows, headers int64, countable bool) {
	for _, f := range files {
		if f.Format == formatNone {
			return 0, 0, false
		}
		rows += f.Rows
		if f.Format == formatCSV && f.Rows > 0 {
			headers++
		}
	}
	return rows, headers, true
}

func withHeaders(rows, headers int64) string {
	if headers == 1 {
		return fmt.Sprintf("%d and a header row in 1 file", rows)
	}
	return fmt.Sprintf("%d and a header row in each of %d files", rows, headers)
}
