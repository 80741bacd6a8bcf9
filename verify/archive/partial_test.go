package archive

import (
	"bytes"
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

func TestAMismatchDropsAllParts(t *testing.T) {
	torn := newTorn(t)
	torn.with(promise(torn.body), func(p *Partial) {
		for part := range p.Missing(256, testPart) {
			fill(part, strings.Repeat("x", 256))
		}
		_, err := io.ReadAll(p.Wire(t.Context()))
		if _, ok := errors.AsType[*verify.Mismatch](err); !ok {
			t.Errorf("%v", err)
		}
		if err := p.Finish("", true); !errors.Is(err, errUnproven) {
			t.Errorf("finish: %v, want %v", err, errUnproven)
		}
	})
	torn.mustMiss(allParts)
}

func TestPartsAreKeptWhenDecodingFails(t *testing.T) {
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
	for _, ended := range []bool{false, true} {
		a := mustOpen(t, t.TempDir())
		in := mustBegin(t, a)
		p := mustPartial(t, in, "o", verify.NoPromise())
		p.AddPromise(said)
		if got := missing(p, verify.Unknown); got != "0+-1" {
			t.Fatalf("missing %s", got)
		}
		part := p.parts[0]
		part.Write([]byte(rows(60)))
		part.Write([]byte(rows(100)[60:]))
		if ended {
			part.End()
		}
		p.Close()
		p = mustPartial(t, in, "o", verify.NoPromise())
		if got := missing(p, verify.Unknown); (got == "") != ended {
			t.Errorf("ended %v: missing %q", ended, got)
		}
		if ended {
			if b, err := io.ReadAll(p.Wire(t.Context())); err != nil || string(b) != rows(100) {
				t.Errorf("%q, %v", b, err)
			}
		}
		p.Close()
		in.Close()
	}
}

// An entry of an object of unknown size counts only if it begins at the beginning.
func TestAMissingBeginningIsReceived(t *testing.T) {
	torn := newTorn(t)
	b, err := os.ReadFile(torn.path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(b), "}\n")
	os.WriteFile(torn.path, []byte(`{"store":{}}`+"\n"+lines[2]), 0o644)
	torn.with(verify.NoPromise(), func(p *Partial) {
		if got := missing(p, verify.Unknown); got != "0+-1" {
			t.Errorf("missing %q after %s", got, lines[2])
		}
	})
}

func TestAWireWaitsAtAMissingRange(t *testing.T) {
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

func TestAMissingRangeThatStaysIsAnErrorOfTheWire(t *testing.T) {
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
			if _, err := io.ReadAll(wire); !errors.Is(err, lost) || !errors.Is(wire.Result().Verdict, lost) {
				t.Errorf("%s: %v", name, err)
			}
			cancel(nil)
		})
	}
	torn.mustMiss("64+64")
}

func TestAPartRefusesMoreThanItsBytes(t *testing.T) {
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
				t.Errorf("when it is complete: %v", err)
			}
		}
	})
	torn.mustMiss("")
}

// The transfer of an object of 300 bytes is cut after each byte, and, with three
// parts in flight, after every seventh: by the end of the process, and by that of
// the attempt.
func TestAnAttemptResumesWhereTheLastWasCut(t *testing.T) {
	body := rows(300)
	for flight, step := range map[int]int{1: 1, 3: 7} {
		if testing.Short() {
			step *= 9
		}
		for cut := 0; cut <= len(body); cut += step {
			for _, killed := range []bool{true, false} {
				a := mustOpen(t, t.TempDir())
				a.indexEvery = testIndexEvery
				lost := cut - int(cutAt(t, a, body, cut, flight, killed))
				if !killed && lost != 0 || lost < 0 || lost > flight*(testIndexEvery-1) {
					t.Fatalf("%d parts in flight, cut after %d bytes, killed: %t: %d bytes are lost", flight, cut, killed, lost)
				}
				if _, err := land(a, export{"o": body}); err != nil {
					t.Fatal(err)
				}
				if got, err := os.ReadFile(filepath.Join(a.Path(testKey), manifest)); err != nil || string(got) != sumOf(body)+"  data/o\n" {
					t.Fatalf("%s, %v", got, err)
				}
			}
		}
	}
}

const testIndexEvery = 16

// cutAt receives that many bytes of an object, and returns how many the next attempt
// finds.
func cutAt(t *testing.T, a *Archive, body string, cut, flight int, killed bool) int64 {
	t.Helper()
	in := mustBegin(t, a)
	defer in.Close()
	p := mustPartial(t, in, "o", promise(body))
	if err := p.AddPromise(promise(body)); err != nil {
		t.Fatal(err)
	}
	receiveUpTo(p, body, cut, flight)
	if killed {
		kill(p)
	} else if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	p = mustPartial(t, in, "o", promise(body))
	defer p.Close()
	return p.Received()
}

// The entries don't depend on the sizes of the writes.
func TestPartIndexEntriesHaveTheSameSizeHoweverBytesCome(t *testing.T) {
	const want = "0+16 16+16 32+16 48+16 64+16 80+16 96+4"
	for piece := 1; piece <= 100; piece++ {
		a := mustOpen(t, t.TempDir())
		a.indexEvery = testIndexEvery
		in := mustBegin(t, a)
		p := mustPartial(t, in, "o", promise(rows(100)))
		if err := p.AddPromise(promise(rows(100))); err != nil {
			t.Fatal(err)
		}
		for part := range p.Missing(100, 100) {
			for rest := []byte(rows(100)); len(rest) > 0; rest = rest[min(piece, len(rest)):] {
				if n, err := part.Write(rest[:min(piece, len(rest))]); err != nil || n != min(piece, len(rest)) {
					t.Fatal(n, err)
				}
			}
		}
		kill(p)
		if got := entriesOf(t, p.index.Name()); got != want {
			t.Errorf("%d bytes at a time: %s, want %s", piece, got, want)
		}
		in.Close()
	}
}

// entriesOf lists the entries of a part index, as off+len.
func entriesOf(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var entries []string
	for e, err := range readPartIndex(bytes.NewReader(b)) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Store == nil {
			entries = append(entries, fmt.Sprintf("%d+%d", e.Off, e.Len))
		}
	}
	return strings.Join(entries, " ")
}

func TestAFlippedByteCostsItsIndexEntryAlone(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine, a thousand times")
	}
	body := rows(256)
	for at := range len(body) {
		a := mustOpen(t, t.TempDir())
		a.indexEvery = testIndexEvery
		if got := cutAt(t, a, body, 256, 3, true); got != 256 {
			t.Fatalf("%d bytes are here", got)
		}
		wires, _ := filepath.Glob(filepath.Join(ingestOf(a), partsDir, "*.wire"))
		edit(t, wires[0], func(b []byte) []byte { b[at] ^= 1; return b })
		in := mustBegin(t, a)
		p := mustPartial(t, in, "o", promise(body))
		if got, want := missing(p, 256), fmt.Sprintf("%d+%d", at/testIndexEvery*testIndexEvery, testIndexEvery); got != want {
			t.Errorf("byte %d: missing %s, want %s", at, got, want)
		}
		kill(p)
		in.Close()
		if _, err := land(a, export{"o": body}); err != nil {
			t.Fatal(err)
		}
	}
}

// A part index may have many lines. In memory, adjacent entries are one part.
func TestAdjacentIndexEntriesBecomeOnePart(t *testing.T) {
	const n = 1000
	body := rows(n * testIndexEvery)
	for name, order := range map[string]func(i int) int{
		"forwards":  func(i int) int { return i },
		"backwards": func(i int) int { return n - 1 - i },
		"by turns":  func(i int) int { return i * 7 % n },
		"but one":   func(i int) int { return max(i, 1) },
	} {
		torn := newTorn(t)
		torn.body = body
		index := []byte(fmt.Sprintf(`{"store":{"size":%d}}`+"\n", len(body)))
		for i := range n {
			off := order(i) * testIndexEvery
			index = fmt.Appendf(index, `{"off":%d,"len":%d,"crc64":%q}`+"\n", off, testIndexEvery, promise(body[off:off+testIndexEvery]).CRC64)
		}
		rewrite(t, torn.path, index)
		rewrite(t, torn.wire, []byte(body))
		first := int64(0)
		if name == "but one" {
			first = testIndexEvery
		}
		torn.with(verify.NoPromise(), func(p *Partial) {
			if len(p.parts) != 1 || p.parts[0].off != first || p.Received() != int64(len(body))-first {
				t.Errorf("%s: %d parts, of %d bytes", name, len(p.parts), p.Received())
			}
			if got, _ := torn.a.Received(testKey); got != p.Received() {
				t.Errorf("%s: Received is %d bytes", name, got)
			}
		})
	}
}

func sumOf(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) }

// receiveUpTo receives that many bytes in all, a few of each part in flight in turn.
func receiveUpTo(p *Partial, body string, cut, flight int) {
	var parts []*Part
	for part := range p.Missing(int64(len(body)), testPart) {
		parts = append(parts, part)
	}
	for cut > 0 {
		for _, part := range parts[:min(flight, len(parts))] {
			off, n := part.Remaining()
			n = min(n, int64(cut), int64(testPart/flight))
			part.Write([]byte(body[off : off+n]))
			cut -= int(n)
		}
		parts = slices.DeleteFunc(parts, func(part *Part) bool { return part.complete })
	}
}

// If the job no longer promises a size, a piece of the object would pass for all of
// it.
func TestAPieceIsNotTakenForTheObject(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	a.indexEvery = testIndexEvery
	in := mustBegin(t, a)
	defer in.Close()
	for _, later := range []verify.Want{{Size: 100}, verify.NoPromise()} {
		p := mustPartial(t, in, "o", verify.Want{Size: 100})
		if err := p.AddPromise(verify.NoPromise()); err != nil {
			t.Fatal(err)
		}
		receiveUpTo(p, rows(100), 40, 1)
		p.Close()
		p = mustPartial(t, in, "o", later)
		if known := later.Size != verify.Unknown; p.Restarted == known || (p.Received() == 40) != known {
			t.Errorf("%+v: %d bytes are here", later, p.Received())
		}
		p.Discard()
		p.Close()
	}
}

// An entry that could not be written is written later, at the latest by Close.
func TestAFailedWriteOfThePartIndexIsMadeUpFor(t *testing.T) {
	body := rows(100)
	for at, ended := 1, false; !ended; at++ {
		dir, seen, failed := t.TempDir(), 0, false
		a, err := openWith(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		a.indexEvery = testIndexEvery
		in := mustBegin(t, a)
		p := mustPartial(t, in, "o", promise(body))
		if err := p.AddPromise(promise(body)); err != nil {
			t.Fatal(err)
		}
		a.step = func(op, path string) error {
			if op == "write" && strings.HasSuffix(path, ".map") {
				if seen++; seen == at {
					failed = true
					return errCrash
				}
			}
			return nil
		}
		for part := range p.Missing(100, 50) {
			for off, n := part.Remaining(); n > 0; off, n = part.Remaining() {
				if _, err := part.Write([]byte(body[off : off+n])); err != nil && !errors.Is(err, errCrash) {
					t.Fatal(err)
				}
			}
		}
		ended = !failed
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		if p = mustPartial(t, in, "o", promise(body)); p.Received() != 100 {
			t.Errorf("write %d of the index failed: %d bytes are here", at, p.Received())
		}
		kill(p)
		in.Close()
	}
}
