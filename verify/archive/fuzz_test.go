package archive

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tallyman/verify"
)

// Whatever a map says, each part that is believed lies in the object, on no
// other, and what is missing is the rest.
func FuzzReadMap(f *testing.F) {
	f.Add([]byte(`{"store":{"size":256}}`+"\n"+`{"off":0,"len":64,"crc64":"0"}`+"\n"), int64(256))
	f.Add([]byte(`{"store":{"size":-1}}`+"\n\n"+`{"off":9223372036854775807,"len":1}`), int64(verify.Unknown))
	f.Add([]byte(`{"store":{"size":-5}}`), int64(verify.Unknown))
	f.Add([]byte(`{"store":{}}`+"\n"+`{"off":5,"len":5,"crc64":"x"}`), int64(verify.Unknown))
	f.Fuzz(func(t *testing.T, text []byte, size int64) {
		p := &Partial{job: verify.Want{Size: max(size%1000, verify.Unknown)}, file: zeros(t)}
		holds := false
		for e, err := range readMap(bytes.NewReader(text)) {
			switch {
			case err != nil:
				t.Fatal(err)
			case e.Store != nil:
				p.parts, holds = nil, p.takeUp(e.Job.want(), e.Store.want())
			case holds:
				p.recall(e)
				e.CRC64 = zeroCRC(t, e.Len) // as if it were true
				p.recall(e)
			}
		}
		if !holds {
			return
		}
		mustBeRuns(t, p)
		if p.want.Size > 1<<20 {
			return
		}
		mustTile(t, p, p.want.Size)
	})
}

// mustBeRuns asserts that no two parts that were recalled touch.
func mustBeRuns(t *testing.T, p *Partial) {
	t.Helper()
	for i, part := range p.parts {
		if i > 0 && part.off <= p.parts[i-1].end() || part.n <= 0 || part.n != part.size {
			t.Fatalf("%+v", part)
		}
	}
}

// mustTile asserts that the parts that are here and those that are missing are
// the object.
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

// Whatever the tag files of a bag say, Recheck opens nothing outside it, and
// tells an undamaged bag from all others.
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
		err = a.Recheck(t.Context(), testKey)
		if same := bytes.Equal(before, text); same != (err == nil) || !same && !errors.Is(err, ErrDamaged) {
			// A tag manifest may say the same in other words.
			if path != filepath.Join(bag, tagManifest) || err != nil || checkBag(bag) != nil {
				t.Errorf("%v with %s = %q", err, path, text)
			}
		}
		_, _ = a.Receipt(testKey)
	})
}
