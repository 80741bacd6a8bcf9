package verify

import "testing"

func TestTextCountsRecordsByTheirDelimiter(t *testing.T) {
	for _, c := range []struct {
		name, delimiter, text string
		rows                  int64
	}{
		{"nothing", "\n", "", 0},
		{"lines", "\n", "a\nb\n", 2},
		{"a last line without its newline", "\n", "a\nb", 2},
		{"blank lines are none", "\n", "\n\na\n \r\n\nb\n\n", 2},
		{"a quote is text", "\n", "5\" disk,\"a\nb\"\n", 2},
		{"a bracket is text", "\n", "[INFO a\n{b\n", 2},
		{"no header is left out", "\n", "a,b\n1,2\n", 2},
		{"a byte order mark is not the first record", "\n", bom + "\na\n", 1},
		{"commas", ",", "a,b,c", 3},
		{"a comma at the end", ",", "a,b,c,", 3},
		{"a newline at the end", ";", "a;b;\n", 2},
		{"a newline in a record", "|", "a\nb|c", 2},
		{"commas within JSON", ",", `{"a":[1,2],"b":"},{"},[1,2],3`, 3},
		{"a quote within a string", ",", `{"a":"\"},{\\"},{}`, 2},
		{"text behind JSON", ",", `{"a":1} x,{},y`, 3},
		{"JSON that does not end", ",", `{"a":1,{},y`, 1},
		{"binary records", "|", "\x00\x01|\x02", 2},
		{"no delimiter", "", "a\nb\n", Unknown},
		{"a delimiter of two bytes", "\r\n", "a\r\nb\r\n", Unknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := Count{"text", c.rows}
			if c.rows == Unknown {
				want.Format = ""
			}
			if got := countAtOnce(Text(c.delimiter), "name.csv", c.text); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if got := countInPieces(Text(c.delimiter), "", c.text, func() int { return 1 }); got != want {
				t.Errorf("byte by byte: got %+v, want %+v", got, want)
			}
		})
	}
}

func TestTextHasNoHeaderRow(t *testing.T) {
	counts := []Count{countAtOnce(Text("\n"), "", "a,b\n1,2\n")}
	if check, _ := CheckCounts(1, counts); check.Verdict != Broken {
		t.Errorf("got %+v", check)
	}
	if check, _ := CheckCounts(2, counts); check.Verdict != Held {
		t.Errorf("got %+v", check)
	}
}
