package verify

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

// countInPieces counts a text that is written in pieces. next returns the size of
// each.
func countInPieces(content, name, text string, next func() int) Count {
	c := NewCounter(content, name)
	for p := []byte(text); len(p) > 0; {
		n := min(max(next(), 0), len(p))
		piece := bytes.Clone(p[:n])
		if m, err := c.Write(piece); m != n || err != nil {
			panic(fmt.Sprintf("Write of %d bytes = %d, %v", n, m, err))
		}
		clear(piece) // a Counter must not keep a reference to it
		p = p[n:]
	}
	return c.Count()
}

func countAtOnce(content, name, text string) Count {
	return countInPieces(content, name, text, func() int { return len(text) })
}

const bom = "\uFEFF"

var csvTable = []struct {
	name, text string
	rows       int64
}{
	{"nothing", "", 0},
	{"one row", "a,b\n", 1},
	{"last row without newline", "a,b\nc,d", 2},
	{"CRLF", "a,b\r\nc,d\r\n", 2},
	{"empty lines", "\n\na\n\n\nb\n\n", 2},
	{"empty CRLF lines", "\r\n\r\na\r\n\r\nb\r\n\r\n", 2},
	{"lone CR is text", "a\rb\rc\n", 1},
	{"two CR and LF are a row", "\r\r\n", 1},
	{"CR at the end is no row", "a\n\r", 1},
	{"two CR at the end are a row", "a\n\r\r", 2},
	{"blanks are a row", " \n\t\n", 2},
	{"newline in quotes", "a,\"b\nc\"\nd,e\n", 2},
	{"CRLF in quotes", "\"a\r\nb\"\r\nc\r\n", 2},
	{"empty lines in quotes", "\"\n\n\n\"\n", 1},
	{"doubled quote", "\"a\"\"\n\"\"b\"\nc\n", 2},
	{"doubled quote at the start of a field", "\"\"\"\n\"\nc\n", 2},
	{"empty quoted field", "\"\"\n\"\",\"\"\n", 2},
	{"quote inside a field is text", "a,5\" disk\nb,6\" disk\n", 2},
	{"quote behind a blank is text", "a, \"b\nc\"\n", 2},
	{"text behind a closing quote", "\"a\"b\n\"c\n\"\n", 2},
	{"quote behind text behind a closing quote", "\"a\"b\"\nc\n", 2},
	{"quote behind CR is text", "\r\"a\nb\"\n", 2},
	{"semicolon", "a;\"b\nc\"\n", 1},
	{"tab", "a\t\"b\nc\"\n", 1},
	{"pipe", "a|\"b\nc\"\n", 1},
	{"delimiter in quotes opens nothing", "\",\"\n\"\n", 2},
	{"unclosed quote", "a,\"b\nc\nd\n", 1},
	{"only a quote", "\"", 1},
	{"byte order mark", bom + "a\nb\n", 2},
	{"byte order mark before a quote", bom + "\"a\nb\"\n", 1},
	{"only a byte order mark", bom, 0},
	{"byte order mark and CR", bom + "\r", 0},
	{"byte order mark and empty line", bom + "\n", 0},
	{"half a byte order mark is text", bom[:2], 1},
	{"byte order mark in the text is text", "a\n" + bom + "\n", 2},
	{"Chinese", "时间,内容\n1,\"第一行\n第二行\"\n", 2},
}

func TestCounterCountsRowsAsEncodingCSVDoes(t *testing.T) {
	for _, tt := range csvTable {
		want := Count{"csv", tt.rows}
		if got := countAtOnce("csv", "", tt.text); got != want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, want)
		}
		if rows := referenceCSV(tt.text); rows != tt.rows {
			t.Errorf("%s: the reference counts %d rows, want %d", tt.name, rows, tt.rows)
		}
	}
}

var jsonTable = []struct {
	name, text string
	rows       int64 // Unknown: not countable
}{
	{"nothing", "", 0},
	{"objects", "{\"a\":1}\n{\"a\":2}\n", 2},
	{"last line without newline", "{}\n{}", 2},
	{"one line without newline", `{"a":"b"}`, 1},
	{"CRLF", "{}\r\n{}\r\n", 2},
	{"blank lines", "\n \n\t\r\n{}\n\n  \n{}\n \t", 2},
	{"indented", "  {}\n\t{}\n", 2},
	{"lone CR ends nothing", "{\"a\":\r1}\n{}\n", 2},
	{"escaped newline", "{\"a\":\"\\n\"}\n", 1},
	{"other values", "1\n\"a\"\nnull\n", 3},
	{"byte order mark", bom + "{}\n{}\n", 2},
	{"only blanks", " \n\t\n", 0},
	{"later lines are not looked at", "{}\n{\nx\n", 3},
	{"pretty-printed", "{\n  \"a\": 1\n}\n", Unknown},
	{"pretty-printed after a blank line", "\n{\n}\n", Unknown},
	{"array", "[{},{}]\n", Unknown},
	{"indented array", " \n [1]\n{}\n", Unknown},
	{"array over lines", "[\n{},\n{}\n]\n", Unknown},
	{"two values in the first line", "{} {}\n", Unknown},
	{"cut in the first line", `{"a":`, Unknown},
	{"no JSON", "a,b\n1,2\n", Unknown},
}

func jsonWant(rows int64) Count {
	if rows == Unknown {
		return Count{"", Unknown}
	}
	return Count{"json", rows}
}

func TestCounterCountsJSONLines(t *testing.T) {
	for _, tt := range jsonTable {
		want := jsonWant(tt.rows)
		if got := countAtOnce("json", "", tt.text); got != want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, want)
		}
		if got := referenceJSON(tt.text); got != want {
			t.Errorf("%s: the reference counts %+v, want %+v", tt.name, got, want)
		}
	}
}

func TestCountDoesNotDependOnHowWritesSplitTheFile(t *testing.T) {
	check := func(content, text string) {
		t.Helper()
		want := countAtOnce(content, "", text)
		for i := range len(text) + 1 {
			for j := i; j <= len(text); j++ {
				sizes := []int{i, j - i, len(text)}
				next := func() (n int) { n, sizes = sizes[0], sizes[1:]; return n }
				if got := countInPieces(content, "", text, next); got != want {
					t.Errorf("%s %q split at %d and %d: %+v, want %+v", content, text, i, j, got, want)
				}
			}
		}
		one := func() int { return 1 }
		if got := countInPieces(content, "", text, one); got != want {
			t.Errorf("%s %q byte by byte: %+v, want %+v", content, text, got, want)
		}
	}
	for _, tt := range csvTable {
		check("csv", tt.text)
		check("", tt.text)
	}
	for _, tt := range jsonTable {
		check("json", tt.text)
		check("", tt.text)
	}
}

func TestCountIsThatOfAFileThatEndsThere(t *testing.T) {
	for _, content := range []string{"csv", "json", ""} {
		text := bom + "{\"a\":\"b\"}\r\n\n{\"c\":\n1}\n\"x\"\"\ny\",\"z\"\n"
		c := NewCounter(content, "")
		for i := range len(text) {
			if got, want := c.Count(), countAtOnce(content, "", text[:i]); got != want {
				t.Errorf("%q after %q: %+v, want %+v", content, text[:i], got, want)
			}
			io.WriteString(c, text[i:i+1])
		}
	}
}

func TestFormatIsDeclaredOrNamedOrSniffed(t *testing.T) {
	for _, tt := range []struct{ content, name, text, want string }{
		{"csv", "a.json", "{}\n", "csv"},
		{"json", "a.csv", "{}\n", "json"},
		{"", "a.csv", "{}\n", "csv"},
		{"", "A.CSV", "{}\n", "csv"},
		{"", "a.csv.zst", "{}\n", "csv"},
		{"", "a.csv.gzip", "{}\n", "csv"},
		{"", "d.json/a.tsv", "{}\n", "csv"},
		{"", "a.json", "{}\n", "json"},
		{"", "a.jsonl.gz", "{}\n", "json"},
		{"", "a.ndjson", "{}\n", "json"},
		{"", "a.sql", "a,b\n", ""},
		{"", "a.parquet", "a,b\n", ""},
		{"", "a.orc", "{}\n", ""},
		{"", "a.avro", "{}\n", ""},
		{"", "a.xml", "<a/>\n", ""},
		{"", "a.zip", "a,b\n", ""},
		{"", "a.bin", "a,b\n", ""},
		{"", "a.bin", "", ""},
		{"", "d.csv/download-123", "{}\n", "json"},
		{"", "2025.08.30", "a,b\n", "csv"},
		{"", "", "a,b\n", "csv"},
		{"", "", "\na,b\n", "csv"},
		{"", "", "时间\n", "csv"},
		{"", "", bom + "{}\n", "json"},
		{"", "", bom + "a\n", "csv"},
		{"", "", "[1]\n", ""},
		{"", "", "", "csv"},
		{"", "", bom, "csv"},
		{"", "", "\x00", ""},
		{"", "", "PAR1\x15\x04", ""},
		{"", "", "Obj\x01", ""},
		{"", "a.txt", "a,b\n", "csv"},
		{"", "a.log.1", "{}\n", "json"},
		{"", "export.php", "a,b\n", "csv"},
		{"", "a.csv.1724839200123", "a,b\n", "csv"},
		{"", "", "\x7fELF", ""},
		{"csv", "", "\xff\xfea\x00\n\x00", ""},
		{"", "a.csv", "\xfe\xff\x00a\x00\n", ""},
	} {
		got := countAtOnce(tt.content, tt.name, tt.text)
		if got.Format != tt.want {
			t.Errorf("%q, %q, %q: format %q, want %q", tt.content, tt.name, tt.text, got.Format, tt.want)
		}
		if (got.Rows == Unknown) != (tt.want == "") {
			t.Errorf("%q, %q, %q: %d rows of format %q", tt.content, tt.name, tt.text, got.Rows, got.Format)
		}
	}
}

// What a false promise of a record count could hold by chance is not counted,
// whatever its name and its job say.
func TestOnlyTextOfAKnownKindIsCounted(t *testing.T) {
	random := make([]byte, 3000)
	rand.NewChaCha8([32]byte{}).Read(random)
	for _, extension := range strings.Fields(".bz2 .xz .7z .rar .br .lzo .sz .Z .snappy .parquet .orc .avro .tgz .tar .tzst .jar .xlsx .foo") {
		for _, content := range []string{"a,b\n1,2\n", string(random)} {
			if got := countAtOnce("", "a"+extension, content); got != (Count{"", Unknown}) {
				t.Errorf("a%s of %.9q: %+v", extension, content, got)
			}
		}
	}
	for name, content := range map[string]string{
		"random": string(random), "short random": string(random[:40]), "gzip": "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", "zstd": "\x28\xb5\x2f\xfd\x04\x00", "lz4": "\x04\x22\x4d\x18\x64\x40",
		"zip": "PK\x03\x04\x14\x00", "zeros": strings.Repeat("\x00", 600), "Avro": "Obj\x01\x04\x16avro.schema", "Parquet": "PAR1\x15", "PDF": "%PDF-1.7\n", "controls behind text": "a,b\n\x00\x01\x02\n",
	} {
		for _, named := range []struct{ content, name string }{{"csv", ""}, {"json", ""}, {"", "a.csv"}, {"", "a.csv.gz"}, {"", "a.json"}, {"", "a"}, {"", "a.log"}} {
			if got := countAtOnce(named.content, named.name, content); got != (Count{"", Unknown}) {
				t.Errorf("%s, declared %q, named %q: %+v", name, named.content, named.name, got)
			}
		}
	}
	for name, content := range map[string]string{
		"columns of bits": strings.Repeat("1,a longer text of the table,\x01\n", 20), "colors": "a,\x1b[1mb\x1b[0m\n",
		"GBK": strings.Repeat("\xb6\xa9\xb5\xa5,b\n", 200), "a character over the end": strings.Repeat("a", headSize-1) + "\xe6\x97\xb6\n",
	} {
		if got := countAtOnce("", "a.csv", content); got.Format != "csv" {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestAnExtensionTellsWhatAFileIsOrIsNone(t *testing.T) {
	for name, want := range map[string]string{
		"a.csv": ".csv", "d.x/A.XLSX": ".xlsx", "a.7z": ".7z", "a.tar.gz": ".gz", "a.3mf": ".3mf", "a.webmanifest": ".webmanifest",
		"": "", "a": "", "d.csv/a": "", ".csv": "", "d/.gz": "", "a.": "", "a.b c": "", "a.表": "", "a.csv~": "", "2025.08.30": "", "a.1724839200123": "",
		"a.stream-1": "", "a.20251122T030000Z": "", "x.dat": "", "download.php": "", "export.do": "",
	} {
		if got := Extension(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestOneMebibyteOfTheFirstJSONRecordIsJudged(t *testing.T) {
	object := func(size int, end string) string {
		return `{"a":"` + strings.Repeat("x", size-len(`{"a":"`)-len(end)) + end
	}
	for _, tt := range []struct {
		name, first string
		want        Count
	}{
		{"complete, as long as is looked at", object(maxFirst, `"}`), Count{"json", 2}},
		{"broken, as long as is looked at", object(maxFirst, `"`), Count{"", Unknown}},
		{"longer", object(maxFirst+1, `"`), Count{"json", 2}},
		{"blanks do not count", strings.Repeat(" ", maxFirst) + object(9, `"`), Count{"", Unknown}},
		{"long array", "[" + strings.Repeat("1,", maxFirst), Count{"", Unknown}},
	} {
		text := tt.first + "\n{}\n"
		for _, size := range []int{len(text), 65536, 4093} {
			if got := countInPieces("json", "", text, func() int { return size }); got != tt.want {
				t.Errorf("%s, %d at a time: %+v, want %+v", tt.name, size, got, tt.want)
			}
		}
	}
}

func TestCheckCountsAllowsOneHeaderRowInEachFile(t *testing.T) {
	csvRows := func(rows ...int64) (files []Count) {
		for _, n := range rows {
			files = append(files, Count{"csv", n})
		}
		return files
	}
	jsonFile, sqlFile := Count{"json", 10}, Count{"", Unknown}
	for _, tt := range []struct {
		name         string
		promised     int64
		files        []Count
		got, verdict string
	}{
		{"no header", 1234, csvRows(1234), "1234", Held},
		{"header", 1233, csvRows(1234), "1233 and a header row in 1 file", Held},
		{"headers", 28, csvRows(10, 20), "28 and a header row in each of 2 files", Held},
		{"header in one of two", 29, csvRows(10, 20), "30", Broken},
		{"too few", 12, csvRows(10), "10", Broken},
		{"too many", 8, csvRows(10), "10", Broken},
		{"header alone", 0, csvRows(1), "0 and a header row in 1 file", Held},
		{"no rows", 0, csvRows(0), "0", Held},
		{"an empty file has no header", 9, csvRows(10, 0), "9 and a header row in 1 file", Held},
		{"an empty file has no header to miss", 8, csvRows(10, 0), "10", Broken},
		{"JSON", 10, []Count{jsonFile}, "10", Held},
		{"JSON has no header", 9, []Count{jsonFile}, "10", Broken},
		{"CSV and JSON", 19, []Count{{"csv", 10}, jsonFile}, "19 and a header row in 1 file", Held},
		{"no files", 0, nil, "0", Held},
		{"no files, but records", 1, nil, "0", Broken},
		{"not countable", 10, []Count{sqlFile}, "not countable", NotComparable},
		{"one of two not countable", 10, []Count{jsonFile, sqlFile}, "not countable", NotComparable},
	} {
		want := Check{CheckRecords, fmt.Sprint(tt.promised), tt.got, tt.verdict}
		if got, ok := CheckCounts(tt.promised, tt.files); got != want || !ok {
			t.Errorf("%s: %+v, %v, want %+v", tt.name, got, ok, want)
		}
	}
}

func TestCheckCountsChecksNothingWithoutAPromise(t *testing.T) {
	if got, ok := CheckCounts(Unknown, []Count{{"csv", 1}}); ok || got != (Check{}) {
		t.Errorf("%+v, %v, want no check", got, ok)
	}
}
