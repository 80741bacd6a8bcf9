package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestEveryLineOfManyGoroutinesIsThereOnce(t *testing.T) {
	dir := newLedger(t).dir
	ledgers := []*Ledger{Open(dir, genesis, nil), Open(dir, genesis, nil)} // as two processes
	const each = 50
	var all sync.WaitGroup
	for g := range 16 {
		all.Go(func() {
			for n := range each {
				if err := ledgers[g%2].Append(landed(g*each + n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	mustHaveOnce(t, ledgers[0], 16*each)
}

// mustHaveOnce checks that landed(0) to landed(n-1) are there once each, in an unbroken
// chain without gaps.
func mustHaveOnce(t testing.TB, l *Ledger, n int) {
	t.Helper()
	seen := map[string]int{}
	for i, line := range mustRead(t, l) {
		seen[line.Key]++
		if line.Side == "" && line.Seq != int64(i+1) {
			t.Fatalf("line %d has seq %d", i+1, line.Seq)
		}
	}
	for i := range n {
		if key := landed(i).Key; seen[key] != 1 {
			t.Errorf("%s is there %d times", key, seen[key])
		}
	}
	if len(seen) != n {
		t.Errorf("%d keys, want %d", len(seen), n)
	}
}

// Wherever a writer was cut short, the next cuts what is torn, keeps it, tells of it,
// and goes on with the chain.
func TestATornTailIsCutKeptAndTold(t *testing.T) {
	w := chained(t, 3)
	for n := range len(w[2]) {
		l := write(t, map[string][]byte{"2026-12.jsonl": append(join(w[0], w[1]), w[2][:n]...)})
		if torn, err := l.Torn(); err != nil || torn != int64(n) {
			t.Fatalf("%d bytes of a line: %d are torn, %v", n, torn, err)
		}
		if got := mustRead(t, l); len(got) != 2 {
			t.Fatalf("%d bytes of a line: read %v", n, got)
		}
		mustAppend(t, l, landed(7))
		lines := mustRead(t, l)
		if n == 0 {
			if len(lines) != 3 {
				t.Fatalf("nothing is torn: %v", lines)
			}
			continue
		}
		if len(lines) != 4 || lines[2].Kind != Torn || lines[2].Cut != int64(n) || lines[3].Key != landed(7).Key {
			t.Fatalf("%d bytes of a line: %+v", n, lines[2:])
		}
		if kept, err := os.ReadFile(l.path(cutPath(lines[2].Side))); err != nil || !bytes.Equal(kept, w[2][:n]) {
			t.Fatalf("%d bytes of a line: kept %q, %v", n, kept, err)
		}
	}
}

func TestAHoleInTheLastAppendIsCutWithWhatIsBehind(t *testing.T) {
	w := chained(t, 4)
	holed := bytes.Replace(w[1], []byte("landed"), make([]byte, 6), 1)
	l := write(t, map[string][]byte{"2026-12.jsonl": join(w[0], holed, w[2], w[3])})
	mustAppend(t, l, landed(7))
	lines := mustRead(t, l)
	if len(lines) != 3 || lines[1].Kind != Torn || lines[1].Cut != int64(len(join(holed, w[2], w[3]))) || lines[2].Seq != 3 {
		t.Errorf("%+v", lines)
	}
}

// What is further from the end than one append reaches was durable once.
func TestAHoleOutOfReachIsDamage(t *testing.T) {
	l := newLedger(t)
	mustAppend(t, l, landed(0))
	begin := len(mustBytes(t, l))
	long := landed(2)
	long.Doubts = []string{strings.Repeat("x", maxBody-1000)}
	mustAppend(t, l, landed(1), long, long)
	b := mustBytes(t, l)
	copy(b[begin+50:], make([]byte, 6))
	l = write(t, map[string][]byte{"2026-12.jsonl": b})
	mustAppend(t, l, landed(4))
	seqs, breaks := read(t, l)
	if fmt.Sprint(seqs) != "[1 3 4 5]" || len(breaks) != 1 {
		t.Errorf("%v, %v", seqs, breaks)
	}
}

func TestALineThatIsTooLongIsRefusedAlone(t *testing.T) {
	l := newLedger(t)
	long := landed(1)
	long.Doubts = []string{strings.Repeat("x", maxWrite)}
	if err := l.Append(landed(0), long); !errors.Is(err, ErrTooLong) {
		t.Errorf("%v", err)
	}
	long.Doubts = []string{strings.Repeat("x", maxBody-1000)}
	mustAppend(t, l, landed(0), long, long, landed(2))
	if got := mustRead(t, l); len(got) != 4 {
		t.Errorf("%d lines", len(got))
	}
}

func TestALaterMonthBeginsAFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which begins at 2000-01-01
		l := newLedger(t)
		mustAppend(t, l, landed(0))
		time.Sleep(32 * 24 * time.Hour)
		mustAppend(t, l, landed(1))
		behind := landed(2)
		behind.At = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)
		mustAppend(t, Open(l.dir, genesis, nil), behind)
		found, err := l.list()
		if err != nil || fmt.Sprint(found.months) != "[2000-01.jsonl 2000-02.jsonl]" {
			t.Errorf("%v, %v", found, err)
		}
		mustHaveOnce(t, l, 3)
	})
}

func TestTimeDoesNotGoBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now().UTC()
		for _, tt := range []struct {
			ahead    time.Duration
			followed bool
		}{{time.Minute, true}, {24 * time.Hour, true}, {24*time.Hour + time.Second, false}, {100 * 365 * 24 * time.Hour, false}} {
			l := newLedger(t)
			first := landed(0)
			first.At = now.Add(tt.ahead)
			mustAppend(t, l, first)
			other := Open(l.dir, genesis, nil)
			mustAppend(t, other, landed(1))
			want, told := now, first.At
			if tt.followed {
				want, told = first.At, time.Time{}
			}
			if got := mustRead(t, l)[1].At; !got.Equal(want) || !other.AheadOfClock().Equal(told) {
				t.Errorf("%v ahead: %v, told %v", tt.ahead, got, other.AheadOfClock())
			}
		}
	})
}

func TestAFullDiskLeavesTheLedgerAsItWas(t *testing.T) {
	l := newLedger(t)
	mustAppend(t, l, landed(0))
	before := mustBytes(t, l)
	full := false
	l.step = func(op, path string) error {
		if !full || op != "sync" { // a part was written
			return nil
		}
		return &fs.PathError{Op: "write", Path: path, Err: errFull}
	}
	full = true
	if err := l.Append(landed(1)); !errors.Is(err, errFull) {
		t.Errorf("%v", err)
	}
	if after := mustBytes(t, l); !bytes.Equal(before, after) {
		t.Errorf("the file is %q", after)
	}
	full = false
	mustAppend(t, l, landed(1))
	mustHaveOnce(t, l, 2)
}

var errFull = errors.New("no space left on device")
