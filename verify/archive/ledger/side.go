package ledger

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"
)

func sidePath(random string) string { return "side-" + random + ".jsonl" }
func cutPath(random string) string  { return "torn-" + random }

func newRandom() string {
	b := make([]byte, 8)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// A sideFile is a side file as it is read.
type sideFile struct {
	random string
	lines  []Line
	raw    [][]byte
	bad    []*BreakError // of its lines that can't be read
	badLen int64         // their bytes
}

// readSide reads a side file. It fails with fs.ErrNotExist if it was taken in meanwhile.
func (l *Ledger) readSide(random string) (*sideFile, error) {
	s := &sideFile{random: random}
	f, err := os.Open(l.path(sidePath(random)))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > maxLine {
		s.bad = []*BreakError{{Break: Break{File: sidePath(random)}, Line: 1, Why: "it is longer than a side file can be"}}
		s.badLen = info.Size()
		return s, nil
	}
	lines := scanner{r: f, end: info.Size()}
	for n := 1; lines.next(); n++ {
		line, err := decode(lines.line)
		if err == nil && strings.HasPrefix(line.Schema, schemaPrefix) && line.Seq == 0 && line.Prev == "" && len(lines.line) <= maxBody {
			line.Side = random
			s.lines = append(s.lines, line)
			s.raw = append(s.raw, bytes.Clone(lines.line))
			continue
		}
		s.bad = append(s.bad, &BreakError{Break: Break{File: sidePath(random)}, Line: n, Why: errNoLine.Error()})
		s.badLen += lines.after() - lines.at
	}
	s.badLen += lines.rest
	return s, lines.err
}

// listAll lists the files and reads the side files. It lists the files again behind
// those: lines that are taken in meanwhile are in a file, even in a new one.
func (l *Ledger) listAll() (months []string, sides []*sideFile, err error) {
	found, err := l.list()
	if err != nil || len(found.sides) == 0 {
		return found.months, nil, err
	}
	if sides, err = l.readSides(found.sides); err == nil {
		found, err = l.list()
	}
	return found.months, sides, err
}

// readSides reads the side files, in the order of their first lines' times. Those that
// are taken in meanwhile are not there.
func (l *Ledger) readSides(randoms []string) ([]*sideFile, error) {
	var sides []*sideFile
	for _, random := range randoms {
		side, err := l.readSide(random)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		sides = append(sides, side)
	}
	slices.SortStableFunc(sides, func(a, b *sideFile) int { return a.first().Compare(b.first()) })
	return sides, nil
}

func (s *sideFile) first() time.Time {
	if len(s.lines) == 0 {
		return time.Time{}
	}
	return s.lines[0].At
}

// taken counts the lines of each side file that are in the ledger, by RANDOM: an append
// may have been cut short in the middle of them.
func (l *Ledger) taken(months []string) (map[string]int, error) {
	taken := map[string]int{}
	err := l.eachLine(months, func(line []byte) bool {
		if !bytes.Contains(line, []byte(`"side":"`)) {
			return true
		}
		if line, whole, _ := parse(line); whole && line.Side != "" {
			taken[line.Side]++
		}
		return true
	})
	return taken, err
}
