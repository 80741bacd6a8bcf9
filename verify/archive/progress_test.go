package archive

import (
	"errors"
	"testing"
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
