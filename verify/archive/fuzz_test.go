package archive

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tallyman/verify"
	"tallyman/verify/archive/bagtest"
)

// Whatever a part index says, the parts lie in the object and don't overlap, and
// the missing ranges are all the rest.
func FuzzPartIndex(f *testing.F) {
	f.Add([]byte(`{"store":{"size":256}}`+"\n"+`{"off":0,"len":64,"crc64":"0"}`+"\n"), int64(256))
	f.Add([]byte(`{"store":{"size":-1}}`+"\n\n"+`{"off":9223372036854775807,"len":1}`), int64(verify.Unknown))
	f.Add([]byte(`{"store":{"size":-5}}`), int64(verify.Unknown))
	f.Add([]byte(`{"store":{}}`+"\n"+`{"off":5,"len":5,"crc64":"x"}`), int64(verify.Unknown))
	f.Fuzz(func(t *testing.T, text []byte, size int64) {
		p := &Partial{job: verify.Want{Size: max(size%1000, verify.Unknown)}, file: zeros(t)}
		current := false
		for e, err := range readPartIndex(bytes.NewReader(text)) {
			switch {
			case err != nil:
				t.Fatal(err)
			case e.Store != nil:
				p.parts, current = nil, p.adopt(e.Job.want(), e.Store.want())
			case current:
				for _, e.CRC64 = range []string{e.CRC64, zeroCRC(t, e.Len)} { // as it is, and as if it matched
					if e.isIn(p.want.Size) && e.matches(p.file) {
						p.parts.add(p, e)
					}
				}
			}
		}
		if !current {
			return
		}
		mustBeRuns(t, p)
		if p.want.Size > 1<<20 {
			return
		}
		mustTile(t, p, p.want.Size)
	})
}

// mustBeRuns checks that no two parts are adjacent.
func mustBeRuns(t *testing.T, p *Partial) {
	t.Helper()
	for i, part := range p.parts {
		if i > 0 && part.off <= p.parts[i-1].off+p.parts[i-1].n || part.n <= 0 || part.n != part.size {
			t.Fatalf("%+v", part)
		}
	}
}

// mustTile checks that the parts, missing ones included, cover the object.
func mustTile(t *testing.T, p *Partial, size int64) {
	t.Helper()
	for range p.Missing(size, testPart) {
	}
	at := int64(0)
	for _, part := range p.parts {
		if part.off != at {
			t.Fatalf("a part at %d, want one at %d", part.off, at)
		}
		at += part.size
	}
	if size == verify.Unknown && len(p.parts) != 1 || size != verify.Unknown && at != size {
		t.Fatalf("%d parts to %d of %d", len(p.parts), at, size)
	}
}

func zeros(t *testing.T) *os.File {
	f, err := os.Create(filepath.Join(t.TempDir(), "zeros"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(1000); err != nil {
		t.Fatal(err)
	}
	return f
}

func zeroCRC(t *testing.T, n int64) string {
	return promise(strings.Repeat("\x00", int(min(max(n, 0), 1000)))).CRC64
}

// Whatever the tag files of a bag say, Recheck opens nothing outside it, and finds
// every damage.
func FuzzRecheck(f *testing.F) {
	_, bag := mustLand(f, f.TempDir(), threeObjects())
	for i, name := range tagFiles {
		b, err := os.ReadFile(filepath.Join(bag, name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), b)
		f.Add(uint8(i), bytes.ReplaceAll(b, []byte("data/"), []byte("data/../../../")))
		f.Add(uint8(i), bytes.ReplaceAll(b, []byte("data/"), []byte("/dev/../")))
	}
	f.Fuzz(func(t *testing.T, i uint8, text []byte) {
		a, bag := mustLand(t, t.TempDir(), threeObjects())
		path := filepath.Join(bag, tagFiles[int(i)%len(tagFiles)])
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		rewrite(t, path, text)
		err = a.Recheck(t.Context(), testKey, nil)
		if same := bytes.Equal(before, text); same != (err == nil) || !same && !errors.Is(err, ErrDamaged) {
			// A tag manifest may be written in another way and still be right.
			if path != filepath.Join(bag, tagManifest) || err != nil || bagtest.Check(bag) != nil {
				t.Errorf("%v with %s = %q", err, path, text)
			}
		}
		_, _ = a.Receipt(testKey)
	})
}

// leftovers are files that an attempt leaves and the next one reads.
var leftovers = []string{objectsFile, pinsFile, stateFile, countsFile, "parts/" + hashName("a.csv") + ".map", "parts/" + hashName("a.csv")}

// leaveBehind runs an attempt that receives an object and half of another.
func leaveBehind(t testing.TB, a *Archive, e export) {
	t.Helper()
	in := mustBegin(t, a)
	defer in.Close()
	if err := in.Pin(pinsOf(nil, Pinned{"a.csv", "csv", promise(e["a.csv"])}, Pinned{"empty", "", promise("")})); err != nil {
		t.Fatal(err)
	}
	if err := receive(in, "logs/deep/b.csv", e["logs/deep/b.csv"]); err != nil {
		t.Fatal(err)
	}
	p := mustPartial(t, in, "a.csv", promise(e["a.csv"]))
	defer p.Close()
	if err := p.AddPromise(promise(e["a.csv"])); err != nil {
		t.Fatal(err)
	}
	for part := range p.Missing(p.Want().Size, testPart) {
		if err := fill(part, e["a.csv"]); err != nil {
			t.Fatal(err)
		}
		break
	}
}

// Whatever is in the files that an attempt left, the next one lands the export and
// nothing else, and touches nothing outside the archive.
func FuzzWhateverWasLeftBehindTheExportLands(f *testing.F) {
	a := mustOpen(f, f.TempDir())
	leaveBehind(f, a, threeObjects())
	for i, name := range leftovers {
		b, err := os.ReadFile(filepath.Join(ingestOf(a), name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			f.Fatal(err)
		}
		f.Add(uint8(i), b)
		f.Add(uint8(i), bytes.Repeat(b, 2))
		f.Add(uint8(i), b[:len(b)/2])
		f.Add(uint8(i), bytes.ReplaceAll(b, []byte("b.csv"), []byte("../../../../outside")))
	}
	f.Fuzz(func(t *testing.T, i uint8, text []byte) {
		dir := t.TempDir()
		outside := filepath.Join(dir, "outside")
		if err := os.WriteFile(outside, []byte("as it was"), 0o600); err != nil {
			t.Fatal(err)
		}
		a, e := mustOpen(t, filepath.Join(dir, "archive")), threeObjects()
		leaveBehind(t, a, e)
		rewriteOrMake(t, filepath.Join(ingestOf(a), leftovers[int(i)%len(leftovers)]), text)
		_, _, _ = a.State(testKey)
		_, _ = a.Received(testKey)
		_, err := land(a, e)
		if i%uint8(len(leftovers)) == 0 && forged(text) {
			return
		}
		if err != nil {
			t.Fatalf("%s = %q: %v", leftovers[int(i)%len(leftovers)], text, err)
		}
		mustHaveLanded(t, a, e)
		if got, err := os.ReadFile(outside); err != nil || string(got) != "as it was" {
			t.Errorf("outside there is %q, %v", got, err)
		}
	})
}

// forged reports whether an object index has an entry that an attempt could have
// written. A program that may write there can change the content as well.
func forged(text []byte) bool {
	for line := range bytes.Lines(text) {
		var o Object
		if json.Unmarshal(line, &o) == nil && o.CRC64 != "" && len(o.Checks) > 0 {
			return true
		}
	}
	return false
}

func rewriteOrMake(t testing.TB, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A state that was read and written again reads the same. Pins are read completely
// or not at all.
func FuzzStateAndPins(f *testing.F) {
	state, err := json.Marshal(fullState())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(state, []byte(`{"polls":3,"gain":1}`), []byte(`{"name":"a","want":{"size":1}}`+"\n"+`{"total":1}`))
	f.Add([]byte(`{"key":"k","options":{ "a" : 1 }}`), []byte("{}"), []byte(`{"total":0}`))
	f.Add([]byte(`{"Key":"k","KEY":"l"}`), []byte("[]"), []byte(`{"name":"a"}{"name":"a"}{"total":2}{"total":2}`))
	f.Fuzz(func(t *testing.T, state, counters, pins []byte) {
		a := mustOpen(t, t.TempDir())
		in := mustPersist(t, a)
		defer in.Close()
		for name, text := range map[string][]byte{stateFile: state, countsFile: counters, pinsFile: pins} {
			rewriteOrMake(t, filepath.Join(ingestOf(a), name), text)
		}
		read, _, err := a.State(testKey)
		if (err == nil) != (read.Key != "") || err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %+v, %v", state, read, err)
		}
		if err == nil {
			mustReadAgain(t, a, read)
		}
		if all, err := in.Pins(); err != nil && (!errors.Is(err, fs.ErrNotExist) || all != nil) {
			t.Errorf("%q: %v, %v", pins, all, err)
		}
	})
}

// mustReadAgain checks that a state reads as it was written.
func mustReadAgain(t *testing.T, a *Archive, want State) {
	t.Helper()
	b, err := json.MarshalIndent(want, "", "  ")
	if err != nil {
		t.Fatalf("%+v: %v", want, err)
	}
	rewriteOrMake(t, filepath.Join(ingestOf(a), stateFile), b)
	read, _, err := a.State(testKey)
	again, _ := json.MarshalIndent(read, "", "  ")
	if err != nil || !bytes.Equal(again, b) {
		t.Errorf("%s is read as %s, %v", b, again, err)
	}
}

// A receipt that can be read belongs to the export, and reads the same when it is
// written again.
func FuzzReceipt(f *testing.F) {
	a, bag := mustLand(f, f.TempDir(), threeObjects())
	b, err := os.ReadFile(filepath.Join(bag, receiptFile))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(bytes.ReplaceAll(b, []byte("download-123"), []byte("download-124")))
	f.Add([]byte(`{"schema":"tallyman.receipt/v1","key":"` + testKey + `","records":1e99}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		rewrite(t, filepath.Join(bag, receiptFile), text)
		r, err := a.Receipt(testKey)
		if err != nil {
			if !errors.Is(err, ErrDamaged) || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		again, err := json.Marshal(r)
		if err != nil || r.Key != testKey || r.Schema != receiptSchema {
			t.Fatalf("%q: %+v, %v", text, r, err)
		}
		rewrite(t, filepath.Join(bag, receiptFile), again)
		if same, err := a.Receipt(testKey); err != nil {
			t.Errorf("%s: %v", again, err)
		} else if twice, _ := json.Marshal(same); !bytes.Equal(twice, again) {
			t.Errorf("%s, then %s", again, twice)
		}
	})
}
