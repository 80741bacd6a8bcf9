package verify

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// countInPieces writes the text in pieces of the sizes that next gives.
func countInPieces(content, name, text string, next func() int) Count {
	c := NewCounter(content, name)
	for p := []byte(text); len(p) > 0; {
		n := min(max(next(), 0), len(p))
		piece := bytes.Clone(p[:n])
		if m, err := c.Write(piece); m != n || err != nil {
			panic(fmt.Sprintf("Write of %d bytes = %d, %v", n, m, err))
		}
		clear(piece) // a Counter must not keep what it was given
		p = p[n:]
	}
	return c.Count()
}

func countWhole(content, name, text string) Count {
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
		if got := countWhole("csv", "", tt.text); got != want {
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
		if got := countWhole("json", "", tt.text); got != want {
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
		want := countWhole(content, "", text)
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

func TestCountMidwayIsThatOfAFileThatEndsThere(t *testing.T) {
	for _, content := range []string{"csv", "json", ""} {
		text := bom + "{\"a\":\"b\"}\r\n\n{\"c\":\n1}\n\"x\"\"\ny\",\"z\"\n"
		c := NewCounter(content, "")
		for i := range len(text) {
			if got, want := c.Count(), countWhole(content, "", text[:i]); got != want {
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
		{"", "", "\x7fELF", ""},
		{"csv", "", "\xff\xfea\x00\n\x00", ""},
		{"", "a.csv", "\xfe\xff\x00a\x00\n", ""},
	} {
		got := countWhole(tt.content, tt.name, tt.text)
		if got.Format != tt.want {
			t.Errorf("%q, %q, %q: format %q, want %q", tt.content, tt.name, tt.text, got.Format, tt.want)
		}
		if (got.Rows == Unknown) != (tt.want == "") {
			t.Errorf("%q, %q, %q: %d rows of format %q", tt.content, tt.name, tt.text, got.Rows, got.Format)
		}
	}
}

func TestFirstJSONRecordIsJudgedUpToOneMebibyte(t *testing.T) {
	object := func(size int, end string) string {
		return `{"a":"` + strings.Repeat("x", size-len(`{"a":"`)-len(end)) + end
	}
	for _, tt := range []struct {
		name, first string
		want        Count
	}{
		{"whole, as long as is looked at", object(maxFirst, `"}`), Count{"json", 2}},
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

// referenceCSV counts byte by byte.
func referenceCSV(text string) (rows int64) {
	text = strings.TrimPrefix(text, bom)
	fieldStart, quoted, line := true, false, ""
	end := func() {
		if line != "" && line != "\r" {
			rows++
		}
		line, fieldStart = "", true
	}
	for i := 0; i < len(text); i++ {
		b := text[i]
		switch {
		case quoted && b == '"' && i+1 < len(text) && text[i+1] == '"':
			i++
			line += `""`
			continue
		case quoted && b == '"':
			quoted = false
		case quoted:
		case b == '\n':
			end()
			continue
		case b == '"' && fieldStart:
			quoted = true
		}
		fieldStart = !quoted && strings.IndexByte(",;\t|", b) >= 0
		line += string(rune(b))
	}
	end()
	return rows
}

func referenceJSON(text string) Count {
	rows := int64(0)
	for line := range strings.SplitSeq(strings.TrimPrefix(text, bom), "\n") {
		line = strings.Trim(line, " \t\r")
		if line == "" {
			continue
		}
		if rows++; rows == 1 && (line[0] == '[' || !json.Valid([]byte(line))) {
			return jsonWant(Unknown)
		}
	}
	return jsonWant(rows)
}

// standardCSV counts with encoding/csv, if it accepts the text.
func standardCSV(text string) (rows int64, ok bool) {
	r := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, bom)))
	r.FieldsPerRecord = -1
	for {
		_, err := r.Read()
		if errors.Is(err, io.EOF) {
			return rows, true
		}
		if err != nil {
			return 0, false
		}
		rows++
	}
}

func FuzzCounterAgreesWithReference(f *testing.F) {
	for _, tt := range csvTable {
		f.Add(tt.text, uint64(len(tt.text)))
	}
	for _, tt := range jsonTable {
		f.Add(tt.text, uint64(len(tt.text)))
	}
	f.Add(strings.Repeat("a,\"b\"\"c\n\",d\r\n", 50), uint64(7))
	f.Fuzz(func(t *testing.T, text string, seed uint64) {
		if len(text) > maxFirst || isUTF16([]byte(strings.TrimPrefix(text, bom))) {
			return
		}
		random := rand.New(rand.NewPCG(seed, 0))
		next := func() int { return random.IntN(1 + random.IntN(len(text)+1)) }
		got := countInPieces("csv", "", text, next)
		if want := (Count{"csv", referenceCSV(text)}); got != want {
			t.Errorf("csv %q: %+v, want %+v", text, got, want)
		}
		if rows, ok := standardCSV(text); ok && got.Rows != rows {
			t.Errorf("csv %q: %d rows, encoding/csv reads %d", text, got.Rows, rows)
		}
		got = countInPieces("json", "", text, next)
		if want := referenceJSON(text); got != want {
			t.Errorf("json %q: %+v, want %+v", text, got, want)
		}
		got, want := countInPieces("", "", text, next), countWhole("", "", text)
		if got != want {
			t.Errorf("%q in pieces: %+v, whole %+v", text, got, want)
		}
	})
}

func TestCounterAgreesWithEncodingCSVOnRandomTables(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	words := []string{"", "a", "\"", "\"\"", "\n", "\r\n", ",", "x y", "时间", "\n\n", "1.5", "\r"}
	for range 2000 {
		text, want := randomTable(random, words)
		next := func() int { return random.IntN(9) }
		if got := countInPieces("csv", "", text, next); got.Rows != want {
			t.Fatalf("%q: %d rows, want %d", text, got.Rows, want)
		}
	}
}

// randomTable writes a table with encoding/csv and counts the rows that it
// reads back: a row of one empty field is written as an empty line.
func randomTable(random *rand.Rand, words []string) (text string, rows int64) {
	var b strings.Builder
	w := csv.NewWriter(&b)
	w.UseCRLF = random.IntN(2) == 0
	for range random.IntN(8) {
		row := make([]string, 1+random.IntN(4))
		for i := range row {
			for range random.IntN(4) {
				row[i] += words[random.IntN(len(words))]
			}
		}
		w.Write(row)
	}
	w.Flush()
	rows, _ = standardCSV(b.String())
	return b.String(), rows
}

func logLine(format string, i int) string {
	return fmt.Sprintf(format, 1756500000+i, i*7919%65536, i%256, i*104729, 200+i%5, i*31%4096)
}

const (
	plainLog  = "%d,ali-test-project,nginx-access,10.0.%d.%d,GET,/api/v1/orders/%012d?page=2,%d,%d,Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36,0.043,upstream-7\n"
	quotedLog = "\"%d\",\"ali-test-project\",\"nginx-access\",\"10.0.%d.%d\",\"GET\",\"/api/v1/orders/%012d?page=2\",\"%d\",\"%d\",\"Mozilla/5.0 (X11; Linux x86_64) \"\"AppleWebKit\"\"\",\"0.043\"\n"
	jsonLog   = `{"__time__":%d,"__source__":"10.0.%d.%d","method":"GET","uri":"/api/v1/orders/%012d?page=2","status":%d,"bytes":%d,"agent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"}` + "\n"
	fewQuotes = "%d,ali-test-project,nginx-access,10.0.%d.%d,GET,/api/v1/orders/%012d?page=2,%d,%d,\"Mozilla/5.0 (X11; Linux x86_64, rv:1) AppleWebKit/537.36\",0.043,upstream-7\n"
)

func BenchmarkCounter(b *testing.B) {
	for _, bb := range []struct{ name, content, format string }{
		{"csv/plain", "csv", plainLog},
		{"csv/few-quotes", "csv", fewQuotes},
		{"csv/all-quoted", "csv", quotedLog},
		{"csv/short-lines", "csv", "%d,%d,%d,%d,%d,%d\n"},
		{"json", "json", jsonLog},
	} {
		var text []byte
		for i := 0; len(text) < 8<<20; i++ {
			text = append(text, logLine(bb.format, i)...)
		}
		b.Run(bb.name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				c := NewCounter(bb.content, "")
				for p := range slices.Chunk(text, 128<<10) {
					c.Write(p)
				}
			}
		})
	}
}
