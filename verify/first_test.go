package verify

import (
	"encoding/csv"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

// firstOf is what a Counter tells of a file that is written in pieces of a size.
func firstOf(content, text string, size int) First {
	c := NewCounter(content, "")
	for len(text) > 0 {
		n := min(size, len(text))
		io.WriteString(c, text[:n])
		text = text[n:]
	}
	return c.First()
}

// The first record is known by what is in it, whatever its line ends with, whatever is around
// it, and however the file is written.
func TestTheFirstRecordIsHashed(t *testing.T) {
	long := strings.Repeat("x", maxHeader)
	for _, tt := range []struct {
		name, text, record string
		again              bool
	}{
		{"a line", "a,b\n1,2\n", "a,b", false},
		{"CRLF", "a,b\r\n1,2\r\n", "a,b", false},
		{"a byte order mark", bom + "a,b\n1,2\n", "a,b", false},
		{"empty lines before it and behind it", "\n\r\n\na,b\n\n\r\n1,2\n", "a,b", false},
		{"nothing else", "a,b\n", "a,b", false},
		{"no line end", "a,b", "a,b", false},
		{"a newline within", "\"a\n\r\n,\"\"\",b\r\n1,2\n", "\"a\n\r\n,\"\"\",b", false},
		{"a stray quote", "a\"b,c\n1\n", "a\"b,c", false},
		{"a quote that is never closed", "a,\"b\n1,2\n", "a,\"b\n1,2\n", false},
		{"the same again", "a,b\na,b\n1,2\n", "a,b", true},
		{"the same again with another line end", "a,b\r\n\na,b", "a,b", true},
		{"the same later", "a,b\n1,2\na,b\n", "a,b", false},
		{"a second that begins the same", "a,b\na,bc\n", "a,b", false},
		{"a second that is a part of it", "a,b\na,\n", "a,b", false},
		{"longer than is looked at", long + ",y\n1,2\n", long, true},
		{"a second that is cut off, and other", "a,b\nb" + long + "\n", "a,b", false},
		{"a second that is cut off, and may be the same", long[8:] + "\n" + long[8:] + "\n", long[8:], true},
		{"no record", "\n\r\n", "", false},
		{"an empty file", "", "", false},
	} {
		want := First{Again: tt.again}
		if tt.record != "" {
			want.SHA256 = sha256Of(tt.record)
		}
		for _, size := range []int{1, 3, 513, len(tt.text) + 1} {
			if got := firstOf("csv", tt.text, size); got != want {
				t.Errorf("%s, in pieces of %d: %+v, want %+v", tt.name, size, got, want)
			}
		}
	}
	for _, content := range []string{"json", Text("\n")} {
		if got := firstOf(content, "{}\n{}\n", 100); got != (First{}) {
			t.Errorf("%q: %+v", content, got)
		}
	}
}

// A hash stands for the fields that encoding/csv reads, and a second record is told to be the
// same if its fields are.
func TestFirstAgreesWithEncodingCSV(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	words := []string{"", "a", "\"", "\n", ",", "时间", "\n\n", "1.5"} // encoding/csv takes CRLF in a field for a newline
	told := map[string]string{}                                      // the fields of the first record, by its hash
	for range 2000 {
		text, _ := randomTable(random, words)
		r := csv.NewReader(strings.NewReader(text))
		r.FieldsPerRecord = -1
		first, err := r.Read()
		second, secondErr := r.Read()
		got := firstOf("csv", text, 1+random.IntN(20))
		if err != nil {
			if got != (First{}) {
				t.Fatalf("%q: %+v", text, got)
			}
			continue
		}
		fields := fmt.Sprintf("%q", first)
		if before, ok := told[got.SHA256]; ok && before != fields || got.SHA256 == "" {
			t.Fatalf("%q: %s has the hash %q, as %s", text, fields, got.SHA256, before)
		}
		told[got.SHA256] = fields
		if want := secondErr == nil && fmt.Sprintf("%q", second) == fields; got.Again != want {
			t.Fatalf("%q: again is %v, want %v", text, got.Again, want)
		}
	}
	if len(told) < 100 {
		t.Errorf("only %d tables were looked at", len(told))
	}
}
