//go:build unix

package ledger

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tallyman/verify/archive/internal/powercut"
)

var errCrash = errors.New("crash")

// A crash fails the n-th change to files, and all later ones unless once is set. It
// keeps what was synced.
type crash struct {
	at     int
	once   bool
	seen   int
	disk   *powercut.Disk
	synced map[string][]byte
}

func (c *crash) step(op, path string) error {
	c.seen++
	if c.seen == c.at || c.seen > c.at && !c.once {
		return errCrash
	}
	if op == "sync" {
		c.synced[path], _ = os.ReadFile(path)
	}
	return c.disk.Step(op, path)
}

// A story is a ledger that crashed in the middle of all that can happen to one.
type story struct {
	*crash
	dir   string // of the archive
	acked []int  // the lines that Append said are durable, in order
	asked int    // how many it was given
}

func (s *story) append(l *Ledger, n int) {
	first := s.asked
	var lines []Line
	for range n {
		lines = append(lines, landed(s.asked))
		s.asked++
	}
	if l.Append(lines...) == nil {
		for i := range n {
			s.acked = append(s.acked, first+i)
		}
	}
}

// tell appends, from two processes: to no ledger, to one, beside a holder that is frozen,
// behind what was left beside it, in a new month, and behind a torn tail.
func (s *story) tell(t *testing.T) {
	dir := filepath.Join(s.dir, ".ledger")
	l, other := Open(dir, genesis, s.step), Open(dir, genesis, s.step)
	s.append(l, 1)
	s.append(l, 2)
	s.append(other, 1)
	if found, _ := l.list(); len(found.months) > 0 {
		release := hold(t, l)
		l.frozen = true
		s.append(l, 3)
		release()
		s.append(other, 1)
	}
	time.Sleep(40 * 24 * time.Hour)
	s.append(l, 1)
	s.append(l, 1)
	if found, _ := l.list(); len(found.months) > 0 {
		f, err := os.OpenFile(l.path(found.months[len(found.months)-1]), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		f.WriteString(`{"schema":"tallyman.led`)
		f.Close()
	}
	s.append(other, 2)
	s.append(l, 1)
}

// atEachStep tells the story with a crash at its first change to files, at the second,
// and so on, until one ends without a crash. A short run, which has the race detector,
// has a fifth of them.
func atEachStep(t *testing.T, once bool, then func(t *testing.T, s *story)) {
	every := 1
	if testing.Short() {
		every = 5
	}
	for at, ended := 1, false; !ended; at += every {
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			s := &story{dir: dir, crash: &crash{at: at, once: once, disk: powercut.New(t, dir), synced: map[string][]byte{}}}
			s.tell(t)
			if ended = s.seen < at; ended && len(s.acked) < s.asked {
				t.Fatalf("without a crash %v of %d lines are durable", s.acked, s.asked)
			}
			then(t, s)
			if t.Failed() {
				ended = true
				t.Logf("the crash was at step %d, once %v", at, once)
			}
		})
	}
}

// mustHaveAcked checks that the next append goes well, and that behind it each line that
// was said to be durable is there, in order, in a chain that is whole.
func (s *story) mustHaveAcked(t *testing.T, dir string) {
	t.Helper()
	l := Open(filepath.Join(dir, ".ledger"), genesis, nil)
	mustAppend(t, l, landed(1000))
	lines := mustRead(t, l)
	next := 0
	for _, line := range lines {
		if next < len(s.acked) && line.Key == landed(s.acked[next]).Key {
			next++
		}
		if line.Seq == 0 {
			t.Errorf("not taken in: %+v", line)
		}
	}
	if next < len(s.acked) {
		t.Errorf("line %d was durable, and is not there in its place", s.acked[next])
	}
	found, err := l.list()
	if err != nil || len(found.cuts)+len(found.sides) > 0 {
		t.Errorf("what is left is %+v, %v", found, err)
	}
	kept, err := filepath.Glob(filepath.Join(dir, ".ledger", "torn-*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range kept {
		if random := strings.TrimPrefix(filepath.Base(name), "torn-"); countSide(lines, random) != 1 {
			t.Errorf("%d lines tell of %s", countSide(lines, random), name)
		}
	}
	mustIndexAll(t, l)
	mustFindAll(t, l)
}

func countSide(lines []Line, random string) (n int) {
	for _, line := range lines {
		if line.Side == random {
			n++
		}
	}
	return n
}

func TestADurableLineOutlivesACrashAndAnIOError(t *testing.T) {
	for _, once := range []bool{false, true} {
		atEachStep(t, once, func(t *testing.T, s *story) { s.mustHaveAcked(t, s.dir) })
	}
}

func TestADurableLineOutlivesAPowerCut(t *testing.T) {
	for _, survives := range []func() bool{powercut.LoseUnsynced, powercut.KeepAtRandom()} {
		for _, once := range []bool{false, true} {
			atEachStep(t, once, func(t *testing.T, s *story) {
				after := filepath.Join(t.TempDir(), "after")
				s.disk.Cut(after, survives)
				s.mustHaveAcked(t, after)
			})
		}
	}
}

// The power may be cut long after a crash, when another process has gone on, behind lines
// that were never synced, and even in another file.
func TestADurableLineOutlivesACrashAndALaterPowerCut(t *testing.T) {
	atEachStep(t, false, func(t *testing.T, s *story) {
		time.Sleep(time.Duration(s.at%2) * 40 * 24 * time.Hour)
		s.append(Open(filepath.Join(s.dir, ".ledger"), genesis, s.disk.Step), 1)
		after := filepath.Join(t.TempDir(), "after")
		s.disk.Cut(after, powercut.LoseUnsynced)
		s.mustHaveAcked(t, after)
	})
}

// Of an append that was not synced a power cut leaves any of its pages, and zeros in
// place of the others.
func TestADurableLineOutlivesHoles(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const page = 64
	atEachStep(t, false, func(t *testing.T, s *story) {
		for range 3 {
			after := filepath.Join(t.TempDir(), "after")
			s.disk.Cut(after, func() bool { return true })
			for path, synced := range s.synced {
				name := filepath.Join(after, ".ledger", filepath.Base(path))
				b, err := os.ReadFile(name)
				if err != nil || !bytes.HasPrefix(b, synced) {
					continue
				}
				b = b[:len(synced)+r.IntN(len(b)-len(synced)+1)]
				for i := len(synced); i < len(b); i++ {
					if i%page == 0 && r.IntN(2) == 0 {
						clear(b[i:min(i+page, len(b))])
					}
				}
				if err := os.WriteFile(name, b, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			s.mustHaveAcked(t, after)
		}
	})
}
