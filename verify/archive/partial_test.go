package archive

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tallyman/verify"
)

func TestAMismatchOfTheWholeDropsAllOfIt(t *testing.T) {
	torn := newTorn(t)
	torn.with(promise(torn.body), func(p *Partial) {
		for part := range p.Missing(256, testPart) {
			fill(part, strings.Repeat("x", 256))
		}
		_, err := io.ReadAll(p.Wire(t.Context()))
		if _, ok := errors.AsType[*verify.Mismatch](err); !ok {
			t.Errorf("%v", err)
		}
		if err := p.Finish("", true); err == nil {
			t.Error("it is finished")
		}
	})
	torn.mustMiss(allParts)
}

func TestPartsOutliveAFailureToDecode(t *testing.T) {
	torn := newTorn(t)
	torn.with(promise(torn.body), func(p *Partial) {
		for part := range p.Missing(256, testPart) {
			fill(part, torn.body)
		}
		if _, err := io.ReadAll(p.Wire(t.Context())); err != nil {
			t.Error(err)
		}
	})
	torn.mustMiss("")
}

func TestAnObjectOfUnknownSizeIsOnePart(t *testing.T) {
	said := verify.Want{Size: verify.Unknown, CRC64: promise(rows(100)).CRC64}
	for _, whole := range []bool{false, true} {
		a := mustOpen(t, t.TempDir())
		in := mustBegin(t, a)
		p := mustPartial(t, in, "o", verify.Nothing())
		p.Promise(said)
		if got := missing(p, verify.Unknown); got != "0+-1" {
			t.Fatalf("missing %s", got)
		}
		part := p.parts[0]
		part.Write([]byte(rows(60)))
		part.Write([]byte(rows(100)[60:]))
		if whole {
			part.End()
		}
		p.Close()
		p = mustPartial(t, in, "o", verify.Nothing())
		if got := missing(p, verify.Unknown); (got == "") != whole {
			t.Errorf("whole %v: missing %q", whole, got)
		}
		if whole {
			if b, err := io.ReadAll(p.Wire(t.Context())); err != nil || string(b) != rows(100) {
				t.Errorf("%q, %v", b, err)
			}
		}
		p.Close()
		in.Close()
	}
}

// What the map says of an object of unknown size is its beginning, or nothing.
func TestAHoleAtTheBeginningIsNotOverlooked(t *testing.T) {
	torn := newTorn(t)
	b, err := os.ReadFile(torn.path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(b), "}\n")
	os.WriteFile(torn.path, []byte(`{"store":{}}`+"\n"+lines[2]), 0o644)
	torn.with(verify.Nothing(), func(p *Partial) {
		if got := missing(p, verify.Unknown); got != "0+-1" {
			t.Errorf("missing %q after %s", got, lines[2])
		}
	})
}

func TestAWireWaitsAtAHole(t *testing.T) {
	torn := newTorn(t)
	torn.with(promise(torn.body), func(p *Partial) {
		wire, filled := p.Wire(t.Context()), make(chan struct{})
		head := make([]byte, testPart)
		if _, err := io.ReadFull(wire, head); err != nil || string(head) != torn.body[:testPart] {
			t.Fatalf("%q, %v", head, err)
		}
		go func() {
			defer close(filled)
			for part := range p.Missing(256, 10) {
				fill(part, torn.body)
			}
		}()
		if rest, err := io.ReadAll(wire); err != nil || string(rest) != torn.body[testPart:] {
			t.Errorf("%q, %v", rest, err)
		}
		<-filled
	})
}

func TestAHoleThatStaysIsAnErrorOfTheWire(t *testing.T) {
	torn, lost := newTorn(t), errors.New("connection lost")
	for name, end := range map[string]func(*Partial, func()){
		"Fail": func(p *Partial, _ func()) { p.Fail(lost); p.Fail(errors.New("another")) },
		"ctx":  func(_ *Partial, cancel func()) { cancel() },
	} {
		torn.with(promise(torn.body), func(p *Partial) {
			ctx, cancel := context.WithCancelCause(t.Context())
			wire := p.Wire(ctx)
			io.ReadFull(wire, make([]byte, testPart))
			go end(p, func() { cancel(lost) })
			if _, err := io.ReadAll(wire); !errors.Is(err, lost) || !errors.Is(wire.Verdict(), lost) {
				t.Errorf("%s: %v", name, err)
			}
			cancel(nil)
		})
	}
	torn.mustMiss("64+64")
}

func TestAPartTakesNoMoreThanItsBytes(t *testing.T) {
	torn := newTorn(t)
	torn.with(promise(torn.body), func(p *Partial) {
		for part := range p.Missing(256, testPart) {
			if _, err := part.Write(make([]byte, testPart+1)); !errors.Is(err, errTooMany) {
				t.Errorf("%v", err)
			}
			if err := part.End(); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("it ends early: %v", err)
			}
			fill(part, torn.body)
			if _, err := part.Write([]byte("x")); !errors.Is(err, errTooMany) {
				t.Errorf("when it is whole: %v", err)
			}
		}
	})
	torn.mustMiss("")
}

// What was received of a file of 1000 bytes is cut after each of its bytes, and
// after every seventh with three parts in flight.
func TestAnAttemptGoesOnWhereTheLastWasCutShort(t *testing.T) {
	body, want := rows(1000), export{"o": rows(1000)}
	for flight, step := range map[int]int{1: 1, 3: 7} {
		for cut := 0; cut <= len(body); cut += step {
			a := mustOpen(t, t.TempDir())
			in := mustBegin(t, a)
			p := mustPartial(t, in, "o", promise(body))
			p.Promise(promise(body))
			receiveUpTo(p, body, cut, flight)
			p.Close()
			in.Close()
			again := 0
			counted, _ := openWith(a.dir, func(op, path string) error {
				if op == "write" && strings.HasSuffix(path, ".wire") {
					again++ // the bytes of a part that is filled at once
				}
				return nil
			})
			if _, err := land(counted, want); err != nil {
				t.Fatal(err)
			}
			if whole := (len(body)+testPart-1)/testPart - again; cut-whole*testPart > flight*(testPart-1) {
				t.Fatalf("%d parts in flight, cut after %d bytes: %d parts are received again", flight, cut, again)
			}
			if got, err := os.ReadFile(filepath.Join(a.Path(testKey), manifest)); err != nil || string(got) != (File{Path: "o", SHA256: sumOf(body)}).line() {
				t.Fatalf("%s, %v", got, err)
			}
		}
	}
}

func sumOf(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) }

// receiveUpTo receives that many bytes, some of each part in flight in turn.
func receiveUpTo(p *Partial, body string, cut, flight int) {
	var parts []*Part
	for part := range p.Missing(int64(len(body)), testPart) {
		parts = append(parts, part)
	}
	for cut > 0 {
		for _, part := range parts[:min(flight, len(parts))] {
			off, n := part.Rest()
			n = min(n, int64(cut), int64(testPart/flight))
			part.Write([]byte(body[off : off+n]))
			cut -= int(n)
		}
		parts = slices.DeleteFunc(parts, func(part *Part) bool { return part.whole })
	}
}
