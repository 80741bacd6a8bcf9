package verify

import (
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

// referenceCSV counts rows byte by byte.
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

// standardCSV counts rows with encoding/csv, if that accepts the text.
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

// isUTF16 reports whether text begins with a byte order mark of UTF-16.
func isUTF16(text string) bool {
	return strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff")
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
		plain := strings.TrimPrefix(text, bom)
		head := strings.TrimPrefix(text[:min(len(text), headSize)], bom)
		if len(text) > maxFirst || isUTF16(plain) || !IsText([]byte(head)) {
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
		got, want := countInPieces("", "", text, next), countAtOnce("", "", text)
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

// randomTable writes a table with encoding/csv, and counts the rows that encoding/csv
// reads back. A row of one empty field is written as an empty line, which is none.
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
