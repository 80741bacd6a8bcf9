package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// write makes a ledger of files with these bytes.
func write(t testing.TB, files map[string][]byte) *Ledger {
	t.Helper()
	l := newLedger(t)
	if err := os.MkdirAll(l.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, b := range files {
		if err := os.WriteFile(l.path(name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// chained are lines of a ledger as they are on disk, with their newlines.
func chained(t testing.TB, n int) (lines [][]byte) {
	t.Helper()
	l := newLedger(t)
	for i := range n {
		mustAppend(t, l, landed(i))
	}
	return bytes.SplitAfter(bytes.TrimSuffix(mustBytes(t, l), []byte{'\n'}), []byte{'\n'})
}

// mustBytes reads the last file.
func mustBytes(t testing.TB, l *Ledger) []byte {
	t.Helper()
	found, err := l.list()
	if err != nil || len(found.months) == 0 {
		t.Fatal("no file", err)
	}
	b, err := os.ReadFile(l.path(found.months[len(found.months)-1]))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// read returns the seqs that can be read and the breaks.
func read(t testing.TB, l *Ledger) (seqs []int64, breaks []*BreakError) {
	t.Helper()
	for line, err := range l.All() {
		if b, ok := errors.AsType[*BreakError](err); ok {
			breaks = append(breaks, b)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		seqs = append(seqs, line.Seq)
	}
	return seqs, breaks
}

func join(lines ...[]byte) []byte {
	b := bytes.Join(lines, nil)
	if !bytes.HasSuffix(b, []byte{'\n'}) {
		b = append(b, '\n')
	}
	return b
}

// Whatever byte of a line is flipped, the ledger is damaged there, and every other line
// can be read. Nothing but the line behind it proves a line, so the last is left out.
func TestAFlippedByteIsFoundInItsPlace(t *testing.T) {
	const at = 2 // the third of five lines
	whole := chained(t, 5)
	for i := range whole[at] {
		for _, flip := range []byte{1, 0x20, 0x80} {
			lines := bytes.Join(whole, nil)
			lines[len(whole[0])+len(whole[1])+i] ^= flip
			l := write(t, map[string][]byte{"2026-12.jsonl": append(lines, '\n')})
			seqs, breaks := read(t, l)
			if len(breaks) == 0 {
				t.Errorf("byte %d %q ^ %#x: not found", i, whole[at][i], flip)
				continue
			}
			if b := breaks[0]; b.Line < at+1 || b.Line > at+2 || b.SeqBefore < 2 || b.File != "2026-12.jsonl" {
				t.Errorf("byte %d %q ^ %#x: found at %+v", i, whole[at][i], flip, b)
			}
			if text := fmt.Sprint(seqs); !strings.HasPrefix(text, "[1 2 ") || !strings.HasSuffix(text, " 5]") {
				t.Errorf("byte %d %q ^ %#x: read %v", i, whole[at][i], flip, seqs)
			}
		}
	}
}

func TestABreakSaysItsPlace(t *testing.T) {
	w := chained(t, 6)
	none := []byte("{}\n")
	for name, tt := range map[string]struct {
		files  map[string][]byte
		breaks string // file:line seq before-after
		seqs   string
	}{
		"whole":                     {map[string][]byte{"2026-12.jsonl": join(w...)}, "[]", "[1 2 3 4 5 6]"},
		"in two months":             {map[string][]byte{"2026-11.jsonl": join(w[:3]...), "2026-12.jsonl": join(w[3:]...)}, "[]", "[1 2 3 4 5 6]"},
		"a removed line":            {map[string][]byte{"2026-12.jsonl": join(w[0], w[1], w[3], w[4], w[5])}, "[2026-12.jsonl:3 2-4]", "[1 2 4 5 6]"},
		"the first removed":         {map[string][]byte{"2026-12.jsonl": join(w[1:]...)}, "[2026-12.jsonl:1 0-2]", "[2 3 4 5 6]"},
		"two swapped":               {map[string][]byte{"2026-12.jsonl": join(w[0], w[2], w[1], w[3], w[4], w[5])}, "[2026-12.jsonl:2 1-3 2026-12.jsonl:3 3-2 2026-12.jsonl:4 2-4]", "[1 3 2 4 5 6]"},
		"a line twice":              {map[string][]byte{"2026-12.jsonl": join(w[0], w[1], w[1], w[2])}, "[2026-12.jsonl:3 2-2]", "[1 2 2 3]"},
		"a removed month":           {map[string][]byte{"2026-10.jsonl": join(w[:2]...), "2026-12.jsonl": join(w[4:]...)}, "[2026-12.jsonl:1 2-5]", "[1 2 5 6]"},
		"no first month":            {map[string][]byte{"2026-12.jsonl": join(w[4:]...)}, "[2026-12.jsonl:1 0-5]", "[5 6]"},
		"lines that are none":       {map[string][]byte{"2026-12.jsonl": join(w[0], none, none, w[1])}, "[2026-12.jsonl:2 1-2]", "[1 2]"},
		"in place of a line":        {map[string][]byte{"2026-12.jsonl": join(w[0], none, w[2])}, "[2026-12.jsonl:2 1-3]", "[1 3]"},
		"at a month's end":          {map[string][]byte{"2026-11.jsonl": join(w[0], none), "2026-12.jsonl": join(w[1])}, "[2026-11.jsonl:2 1-2]", "[1 2]"},
		"a torn month before":       {map[string][]byte{"2026-11.jsonl": append(join(w[0]), w[1][:20]...), "2026-12.jsonl": join(w[1])}, "[2026-11.jsonl:2 1-2]", "[1 2]"},
		"a torn month, then empty":  {map[string][]byte{"2026-11.jsonl": append(join(w[0]), w[1][:20]...), "2026-12.jsonl": nil}, "[2026-11.jsonl:2 1-0]", "[1]"},
		"a known kind's field":      {map[string][]byte{"2026-12.jsonl": join(w[0], bytes.Replace(w[1], []byte(`"bytes":1`), []byte(`"bytes":"`), 1))}, "[]", "[1]"},
		"other names do not count":  {map[string][]byte{"2026-12.jsonl": join(w[0]), "2026-12.jsonl.bak": none, "2026-13.jsonl": none, "x2026-11.jsonl": none}, "[]", "[1]"},
		"an empty file":             {map[string][]byte{"2026-12.jsonl": nil}, "[]", "[]"},
		"no good line in the file":  {map[string][]byte{"2026-12.jsonl": join(none, none)}, "[]", "[]"},
		"a hole in the last append": {map[string][]byte{"2026-12.jsonl": join(w[0], bytes.Replace(w[1], []byte("landed"), make([]byte, 6), 1), w[2])}, "[]", "[1]"},
		"a hole in the file before": {map[string][]byte{"2026-11.jsonl": join(w[0], bytes.Replace(w[1], []byte("landed"), make([]byte, 6), 1), w[2]), "2026-12.jsonl": join(w[3])}, "[2026-11.jsonl:2 1-3]", "[1 3 4]"},
	} {
		t.Run(name, func(t *testing.T) {
			seqs, breaks := read(t, write(t, tt.files))
			var places []string
			for _, b := range breaks {
				places = append(places, fmt.Sprintf("%s:%d %d-%d", b.File, b.Line, b.SeqBefore, b.SeqAfter))
			}
			if got := fmt.Sprint(places); got != tt.breaks {
				t.Errorf("breaks %s, want %s", got, tt.breaks)
			}
			if got := fmt.Sprint(seqs); got != tt.seqs {
				t.Errorf("seqs %s, want %s", got, tt.seqs)
			}
		})
	}
}

func TestABreakThatALineNamesIsNoError(t *testing.T) {
	w := chained(t, 6)
	l := write(t, map[string][]byte{"2026-12.jsonl": join(w[0], w[2], w[1], w[3])})
	_, breaks := read(t, l)
	if len(breaks) != 3 {
		t.Fatal(breaks)
	}
	for i, b := range breaks {
		mustAppend(t, l, Line{Kind: Adopted, Reason: "a test", Break: &b.Break})
		if seqs, left := read(t, l); len(left) != 2-i || len(seqs) != 5+i {
			t.Errorf("after %d were named, %v are left, and %v can be read", i+1, left, seqs)
		}
	}
}

func TestWritersChainToTheLastWholeLineAsItStands(t *testing.T) {
	w := chained(t, 3)
	changed := bytes.Replace(w[2], []byte(`"bytes":2`), []byte(`"bytes":3`), 1)
	l := write(t, map[string][]byte{"2026-12.jsonl": join(w[0], []byte("{}\n"), w[1], changed)})
	mustAppend(t, l, landed(4))
	seqs, breaks := read(t, l)
	if fmt.Sprint(seqs) != "[1 2 3 4]" || len(breaks) != 1 || breaks[0].Line != 2 {
		t.Errorf("%v, %v", seqs, breaks)
	}
}
