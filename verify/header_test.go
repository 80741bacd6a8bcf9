package verify

import (
	"strings"
	"testing"
)

func TestAHeaderIsARowOfNamesAboveNumbers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, text string
		want       bool
	}{
		{"names above a number", "id,name\n1,alice\n", true},
		{"names of SLS", "__time__,__source__,__tag__:__path__\n1733000000,10.0.0.1,/var/log/a\n", true},
		{"names above a time", "when;what\r\n2026-11-30 07:15:00;login\r\n", true},
		{"names in tabs", "a\tb\n1\t2\n", true},
		{"names in bars", "a|b\n1|2\n", true},
		{"quoted names, one with a newline behind it", "\"Amount (EUR)\",\"Ratio %\"\n\"1,5\",\"0.3\nx\"\n", true},
		{"other letters", "日期,金额\n2026-11-30,12\n", true},
		{"a byte order mark", byteOrderMark + "id,name\n1,alice\n", true},
		{"a single column", "id\n17\n", true},
		{"no end of the second row", "id,name\n1,alice", true},

		{"nothing", "", false},
		{"names alone: perhaps there is no data", "id,name\n", false},
		{"two rows of words", "alice,login\nbob,logout\n", false},
		{"a number in the first row", "1,alice\n2,bob\n", false},
		{"a number without a name of its own", "alice,1\nbob,2\n", false},
		{"a name twice", "a,a\n1,2\n", false},
		{"a name that is empty", "a,\n1,2\n", false},
		{"rows of two lengths", "a title\n1,2\n", false},
		{"addresses", "https://a/?b=c\n1\n", false},
		{"JSON lines in CSV", "{\"a\":1}\n1\n", false},
		{"a first row that is longer than is looked at", strings.Repeat("a", maxHeader) + ",b\n1,2\n", false},
	} {
		for _, size := range []int{1, 7, 1 << 20} { // of each write
			c := NewCounter("csv", "a.csv")
			for rest := test.text; rest != ""; {
				n := min(size, len(rest))
				c.Write([]byte(rest[:n]))
				rest = rest[n:]
			}
			if got := c.Header(); got != test.want {
				t.Errorf("%s, in writes of %d bytes: %v", test.name, size, got)
			}
		}
	}
	c := NewCounter("json", "a.json")
	c.Write([]byte("{\"a\":1}\n{\"a\":2}\n"))
	if c.Header() {
		t.Error("JSON has a header")
	}
}
