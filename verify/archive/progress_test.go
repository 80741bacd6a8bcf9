package archive

import (
	"errors"
	"testing"

	"tallyman/verify"
)

func TestReceivedGrowsWithWhatIsKept(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	last := int64(-1)
	grown := func(what string) {
		t.Helper()
		bytes, objects := a.Received(testKey)
		if bytes+objects <= last {
			t.Errorf("%s: %d bytes and %d objects, was %d", what, bytes, objects, last)
		}
		last = bytes + objects
	}
	attempt := func(do func(in *Ingest, p *Partial) error) {
		t.Helper()
		in := mustBegin(t, a)
		p := mustPartial(t, in, "o", promise(rows(256)))
		if err := errors.Join(p.AddPromise(promise(rows(256))), do(in, p), p.Close(), in.Close()); err != nil {
			t.Fatal(err)
		}
	}
	grown("nothing")
	for range 4 {
		attempt(func(_ *Ingest, p *Partial) error {
			for part := range p.Missing(256, testPart) {
				return fill(part, rows(256))
			}
			return nil
		})
		grown("a part")
	}
	attempt(func(_ *Ingest, p *Partial) error { return decode(p, "o") })
	grown("an object")
	if got, _ := a.Received(testKey); got != 256 {
		t.Errorf("%d bytes are here", got)
	}
	in := mustBegin(t, a)
	if err := errors.Join(receive(in, "empty", ""), in.Close()); err != nil {
		t.Fatal(err)
	}
	grown("an object of nothing")
}

// How much an export has is known if it is one object, or if its objects are pinned with
// their sizes; else it is told as unknown.
func TestProgressTellsHowMuchThereIs(t *testing.T) {
	pinned := func(sizes ...int64) func(*Ingest) error {
		return func(in *Ingest) error {
			return in.Pin(func(yield func(Pinned, error) bool) {
				for i, size := range sizes {
					want := verify.NoPromise()
					if want.Size = size; !yield(Pinned{Name: string(rune('a' + i)), Want: want}, nil) {
						return
					}
				}
			})
		}
	}
	for name, tt := range map[string]struct {
		prepare func(*Ingest) error
		want    Progress
	}{
		"one object":         {func(in *Ingest) error { in.Single = true; return in.persist(t.Context()) }, Progress{testPart, 0, 256, 1}},
		"one of some":        {func(*Ingest) error { return nil }, Progress{testPart, 0, verify.Unknown, verify.Unknown}},
		"pinned":             {pinned(256, 44), Progress{testPart, 0, 300, 2}},
		"pinned, size lacks": {pinned(verify.Unknown, 256), Progress{testPart, 0, verify.Unknown, 2}},
	} {
		a := mustOpen(t, t.TempDir())
		in := mustBegin(t, a)
		if err := tt.prepare(in); err != nil {
			t.Fatal(err)
		}
		p := mustPartial(t, in, "a", promise(rows(256)))
		err := p.AddPromise(promise(rows(256)))
		for part := range p.Missing(256, testPart) {
			err = errors.Join(err, fill(part, rows(256)))
			break
		}
		if got := a.Progress(testKey); err != nil || got != tt.want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, tt.want)
		}
		if err := errors.Join(p.Close(), in.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReceivedCountsEachByteOnce(t *testing.T) {
	torn := newTorn(t)
	if got, _ := torn.a.Received(testKey); got != 192 {
		t.Errorf("%d bytes are here", got)
	}
	edit(t, torn.path, func(b []byte) []byte {
		return append(append(make([]byte, 100_000), "\n"+string(b)...), "garbage\n{}\n"+`{"off":0,"len":64}`+"\n"+`{"off":-5,"len":64}`+"\n"+`{"off":9223372036854775807,"len":5}`+"\n{\"off\""...)
	})
	if got, _ := torn.a.Received(testKey); got != 192 {
		t.Errorf("%d bytes are here by an index with more lines", got)
	}
	in := mustBegin(t, torn.a)
	if err := receive(in, "o", torn.body); err != nil {
		t.Fatal(err)
	}
	if err := receive(in, "p", torn.body); err != nil {
		t.Fatal(err)
	}
	in.Close()
	if got, _ := torn.a.Received(testKey); got != 512 {
		t.Errorf("%d bytes of two objects", got)
	}
	if got, _ := torn.a.Received("none"); got != 0 {
		t.Errorf("%d bytes of none", got)
	}
}
