package verify

import (
	"bytes"
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
	Format string // "csv", "json", "text", or "": not countable
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
// declared type: "csv", "json", one of Text, or "" for the name to tell; where
// that says nothing either, the first bytes do.
func NewCounter(content, name string) *Counter {
	if content != formatCSV && content != formatJSON && !strings.HasPrefix(content, formatText) {
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
	case strings.HasPrefix(format, formatText):
		return newText(format)
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
