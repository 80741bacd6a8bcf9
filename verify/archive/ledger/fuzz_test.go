package ledger

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// Whatever is in the files, readers come to an end, yield lines and breaks alone, and
// agree; the next append goes well, is read, and cuts nothing but the end.
func FuzzHostileFiles(f *testing.F) {
	l := newLedger(f)
	for n := range 3 {
		if err := l.Append(landed(n)); err != nil {
			f.Fatal(err)
		}
	}
	whole := mustBytes(f, l)
	side := []byte(`{"schema":"tallyman.ledger/v1","at":"2026-12-01T00:00:00.000Z","kind":"landed","key":"k","bytes":1,"records":0}` + "\n")
	f.Add(whole, []byte(nil), []byte(nil))
	f.Add(whole[:len(whole)/2], whole[len(whole)/2:], side)
	f.Add(append(bytes.Clone(whole), 0, 0, '\n'), whole, side[:20])
	f.Add([]byte("{}\n\n\n"), bytes.ReplaceAll(whole, []byte("landed"), []byte("later")), append(side, `{"schema":"tallyman.ledger/v1","seq":7,"prev":"x"}`+"\n"...))
	f.Add(bytes.ReplaceAll(whole, []byte(`"seq":3`), []byte(`"seq":9007199254740992`)), []byte(nil), side)
	f.Fuzz(func(t *testing.T, before, last, side []byte) {
		l := write(t, map[string][]byte{"2025-11.jsonl": before, "2025-12.jsonl": last, "side-0123456789abcdef.jsonl": side})
		read(t, l)
		if _, err := l.Index(); err != nil {
			t.Error(err)
		}
		for _, err := range l.Find(landed(1).Key) {
			if err != nil {
				t.Error(err)
			}
		}
		line := landed(7)
		line.Key = "fuzzed"
		err := l.Append(line)
		if full, ok := errors.AsType[*BreakError](err); ok && strings.Contains(full.Why, "seq") {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		var got *Line
		for line, err := range l.All() {
			if _, ok := errors.AsType[*BreakError](err); err != nil && !ok {
				t.Fatal(err)
			}
			if err == nil {
				got = &line
			}
		}
		if got == nil || got.Key != "fuzzed" {
			t.Errorf("the last line is %+v", got)
		}
		if torn, err := l.Torn(); torn != 0 || err != nil {
			t.Errorf("%d bytes are torn, %v", torn, err)
		}
		for line, err := range l.Find("fuzzed") {
			if err != nil || line.Seq != got.Seq {
				t.Errorf("found %+v, %v", line, err)
			}
			break
		}
	})
}

// A line that is longer than any can be is damage, and takes no more memory than the
// longest that can be.
func TestALineWithoutAnEndIsDamage(t *testing.T) {
	if testing.Short() {
		t.Skip("one line after another")
	}
	w := chained(t, 2)
	long := bytes.Repeat([]byte{'x'}, maxLine+maxLine/8)
	l := write(t, map[string][]byte{"2026-12.jsonl": join(w[0], append(long, '\n'), w[1])})
	seqs, breaks := read(t, l)
	if len(seqs) != 2 || len(breaks) != 1 || breaks[0].Line != 2 {
		t.Errorf("%v, %v", seqs, breaks)
	}
	mustAppend(t, l, landed(2))
	s := scanner{r: bytes.NewReader(join(long, w[0])), end: int64(len(long) + len(w[0]))}
	for s.next() {
	}
	if len(s.buf) > 2*maxLine {
		t.Errorf("a buffer of %d bytes", len(s.buf))
	}
	for line, err := range l.Find(landed(0).Key) {
		if err != nil || line.Seq != 1 {
			t.Errorf("found %+v, %v", line, err)
		}
	}
}
