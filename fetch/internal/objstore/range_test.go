package objstore

import (
	"fmt"
	"testing"

	"tallyman/verify"
)

func TestContentRangeIsReadAsItIsMeant(t *testing.T) {
	for _, tt := range []struct {
		in                string
		first, last, size int64
		ok                bool
	}{
		{"bytes 0-0/1", 0, 0, 1, true},
		{"bytes 0-499/1000", 0, 499, 1000, true},
		{" bytes 500-999/1000 ", 500, 999, 1000, true},
		{"bytes 5-9/*", 5, 9, verify.Unknown, true},
		{"bytes 0-9223372036854775806/9223372036854775807", 0, 1<<63 - 2, 1<<63 - 1, true},
		{"Bytes 0-9/10", 0, 9, 10, true},
		{"bytes  0 - 9 / 10", 0, 9, 10, true},
		{in: ""},
		{in: "bytes"},
		{in: "bytes */1000"},
		{in: "bytes 0-499"},
		{in: "bytes 0/1000"},
		{in: "bytes 499-0/1000"},
		{in: "bytes 0-1000/1000"},
		{in: "bytes -5-9/1000"},
		{in: "bytes +5-9/1000"},
		{in: "bytes 0-9/-1"},
		{in: "bytes 0-9/9223372036854775808"},
		{in: "bytes 0x0-0x9/10"},
		{in: "bytes 0-9/"},
		{in: "bytes */*"},
		{in: "bytes 1 0-19/20, 30"},
		{in: "bytes 0-9/10/10"},
		{in: "bytes=0-9/10"},
		{in: "items 0-9/10"},
		{in: "bytes 0-9/10, bytes 10-19/20"},
	} {
		first, last, size, ok := parseContentRange(tt.in)
		if ok != tt.ok || ok && (first != tt.first || last != tt.last || size != tt.size) {
			t.Errorf("%q: %d-%d/%d, %v", tt.in, first, last, size, ok)
		}
	}
}

func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"bytes 0-0/1", "bytes 5-9/*", "bytes */5", "bytes 0-9223372036854775807/*"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		first, last, size, ok := parseContentRange(s)
		if !ok {
			return
		}
		if first < 0 || last < first || size != verify.Unknown && size <= last {
			t.Errorf("%q: %d-%d/%d", s, first, last, size)
		}
		total := fmt.Sprint(size)
		if size == verify.Unknown {
			total = "*"
		}
		if a, b, c, ok := parseContentRange(fmt.Sprintf("bytes %d-%d/%s", first, last, total)); !ok || a != first || b != last || c != size {
			t.Errorf("%q does not round-trip", s)
		}
	})
}
