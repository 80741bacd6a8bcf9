package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tallyman/verify"
)

// A torn partial is an object of 256 bytes in parts of 64. The second part was in
// flight when the process was killed, and is missing.
type torn struct {
	t    *testing.T
	a    *Archive
	body string
	wire string // path of its bytes
	path string // of its part index
}

func newTorn(t *testing.T) torn {
	t.Helper()
	a := mustOpen(t, t.TempDir())
	sum := sha256.Sum256([]byte("o"))
	base := filepath.Join(a.dir, ingestDir, testHash, "parts", fmt.Sprintf("%x", sum[:16]))
	torn := torn{t: t, a: a, body: rows(256), wire: base + ".wire", path: base + ".map"}
	in := mustBegin(t, a)
	defer in.Close()
	p := mustPartial(t, in, "o", promise(torn.body))
	if err := p.AddPromise(promise(torn.body)); err != nil {
		t.Fatal(err)
	}
	for part := range p.Missing(256, testPart) {
		if off, _ := part.Remaining(); off == testPart {
			part.Write([]byte(torn.body[off : off+30]))
		} else if err := fill(part, torn.body); err != nil {
			t.Fatal(err)
		}
	}
	kill(p)
	return torn
}

// kill ends the use of a Partial as the end of the process does.
func kill(p *Partial) {
	p.file.Close()
	p.index.Close()
	p.reserved.release()
}

// with opens the object under a promise of its job.
func (torn torn) with(job verify.Want, do func(*Partial)) {
	torn.t.Helper()
	in := mustBegin(torn.t, torn.a)
	defer in.Close()
	p := mustPartial(torn.t, in, "o", job)
	do(p)
	if err := p.Close(); err != nil {
		torn.t.Fatal(err)
	}
}

func (torn torn) mustMiss(want string) {
	torn.t.Helper()
	torn.with(promise(torn.body), func(p *Partial) {
		if got := missing(p, 256); got != want {
			torn.t.Errorf("missing %s, want %s", got, want)
		}
	})
}

const allParts = "0+64 64+64 128+64 192+64"

func TestReceivedPartsAreNotMissing(t *testing.T) {
	torn := newTorn(t)
	torn.with(verify.NoPromise(), func(p *Partial) {
		if p.Received() != 192 || p.Version() != `"v1"` || p.Want() != promise(torn.body) {
			t.Errorf("%d bytes of version %s under %+v", p.Received(), p.Version(), p.Want())
		}
	})
	torn.mustMiss("64+64")
}

func TestPartIndexEntriesCountOnlyIfTheBytesMatch(t *testing.T) {
	for _, tt := range []struct {
		name   string
		damage func(b []byte) []byte
		want   string
	}{
		{"nothing", func(b []byte) []byte { return b }, "64+64"},
		{"cut in the last part", func(b []byte) []byte { return b[:255] }, "64+64 192+64"},
		{"cut before the last two", func(b []byte) []byte { return b[:64] }, "64+64 128+64 192+64"},
		{"gone", func([]byte) []byte { return nil }, allParts},
		{"zeros", func(b []byte) []byte { return make([]byte, len(b)) }, allParts},
		{"a byte flipped", func(b []byte) []byte { b[150] ^= 1; return b }, "64+64 128+64"},
		{"a byte flipped in the missing range", func(b []byte) []byte { b[70] ^= 1; return b }, "64+64"},
		{"longer", func(b []byte) []byte { return append(b, "more"...) }, "64+64"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			torn := newTorn(t)
			edit(t, torn.wire, tt.damage)
			torn.mustMiss(tt.want)
		})
	}
}

func edit(t testing.TB, path string, change func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rewrite(t, path, change(b))
}

// rewrite replaces a file that may be read-only.
func rewrite(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(path), os.WriteFile(path, b, 0o644)); err != nil {
		t.Fatal(err)
	}
}

func TestInvalidLinesOfThePartIndexAreIgnored(t *testing.T) {
	line := func(format string, args ...any) func([]byte) []byte {
		return func(b []byte) []byte { return fmt.Appendf(b, format+"\n", args...) }
	}
	part := func(off, n int) string {
		body := rows(256)
		return fmt.Sprintf(`{"off":%d,"len":%d,"crc64":%q}`, off, n, promise(body[max(off, 0):min(max(off, 0)+max(n, 0), 256)]).CRC64)
	}
	for _, tt := range []struct {
		name   string
		change func(b []byte) []byte
		want   string
	}{
		{"torn last line", func(b []byte) []byte { return b[:len(b)-9] }, "64+64 192+64"},
		{"a line after a torn one", func(b []byte) []byte { return append(b[:len(b)-9], "\n"+part(192, 64)+"\n"...) }, "64+64"},
		{"garbage", func(b []byte) []byte {
			return append([]byte("\x00\xff{{\n[]\n\"x\"\nnull\n{}\n"), append(b, "garbage"...)...)
		}, "64+64"},
		{"empty", func([]byte) []byte { return nil }, allParts},
		{"without its beginning", func(b []byte) []byte { return b[bytes.Index(b, []byte("}\n"))+2:] }, allParts},
		{"an overlapping part", line("%s", part(0, 100)), "64+64"},
		{"a part within another", line("%s", part(10, 10)), "64+64"},
		{"the same part twice", line("%s", part(128, 64)), "64+64"},
		{"a part in the missing range", line("%s", part(70, 20)), "64+6 90+38"},
		{"a part in the missing range that is not here", line("%s", part(64, 64)), "64+64"},
		{"a part past the end", line("%s", part(250, 100)), "64+64"},
		{"a part before the beginning", line("%s", part(-1, 10)), "64+64"},
		{"a part of nothing", line("%s", part(64, 0)), "64+64"},
		{"a part of less than nothing", line("%s", part(64, -5)), "64+64"},
		{"offsets that overflow", line(`{"off":9223372036854775807,"len":9223372036854775807,"crc64":"0"}`), "64+64"},
		{"a beginning once more", line(`{"store":{"size":256,"etag":"\"v1\""}}`), allParts},
		{"another beginning", line(`{"store":{"size":9}}` + "\n" + part(0, 64)), allParts},
		{"a size below zero", line(`{"store":{"size":-5}}`), allParts},
	} {
		t.Run(tt.name, func(t *testing.T) {
			torn := newTorn(t)
			edit(t, torn.path, tt.change)
			torn.mustMiss(tt.want)
		})
	}
}

func TestThePartSizeMayChangeBetweenAttempts(t *testing.T) {
	for size, want := range map[int64]string{1000: "64+64", 50: "64+36 100+28", 1 << 40: "64+64"} {
		newTorn(t).with(promise(rows(256)), func(p *Partial) {
			var got []string
			for part := range p.Missing(256, size) {
				off, n := part.Remaining()
				got = append(got, fmt.Sprintf("%d+%d", off, n))
			}
			if strings.Join(got, " ") != want {
				t.Errorf("in parts of %d: %s, want %s", size, got, want)
			}
		})
	}
}

func TestAChangedPromiseOfTheJobStartsOver(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before verify.Want
		now    verify.Want
		want   string
	}{
		{"the same", verify.Want{Size: 256, ETag: "EXSF"}, verify.Want{Size: 256, ETag: "EXSF"}, "64+64"},
		{"more", verify.NoPromise(), verify.Want{Size: 256, ETag: "EXSF"}, "64+64"},
		{"less", verify.Want{Size: 256, ETag: "EXSF"}, verify.NoPromise(), "64+64"},
		{"another size than the store's", verify.NoPromise(), verify.Want{Size: 255}, allParts},
		{"another CRC64 than the store's", verify.NoPromise(), verify.Want{Size: verify.Unknown, CRC64: "1"}, allParts},
		{"another MD5 than before", verify.Want{Size: verify.Unknown, MD5: "aa"}, verify.Want{Size: verify.Unknown, MD5: "bb"}, allParts},
		{"another opaque ETag than before", verify.Want{Size: verify.Unknown, ETag: "EXSF"}, verify.Want{Size: verify.Unknown, ETag: "GSDA"}, allParts},
	} {
		t.Run(tt.name, func(t *testing.T) {
			torn := newTorn(t)
			edit(t, torn.path, func(b []byte) []byte { return nil })
			torn.with(tt.before, func(p *Partial) {
				if err := p.AddPromise(promise(torn.body)); err != nil {
					t.Fatal(err)
				}
				for part := range p.Missing(256, testPart) {
					if off, _ := part.Remaining(); off != testPart {
						fill(part, torn.body)
					}
				}
			})
			torn.with(tt.now, func(p *Partial) {
				if got := missing(p, 256); got != tt.want || p.Restarted != (tt.want == allParts) {
					t.Errorf("missing %s, want %s; restarted: %t", got, tt.want, p.Restarted)
				}
			})
		})
	}
}

func TestOpeningAPartialCanBeInterruptedWithoutLoss(t *testing.T) {
	torn := newTorn(t)
	ended, end := context.WithCancel(context.Background())
	end()
	in := mustBegin(t, torn.a)
	if _, err := in.Partial(ended, "o", verify.NoPromise()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	in.Close()
	torn.with(verify.NoPromise(), func(p *Partial) {
		if got := missing(p, 256); got == allParts {
			t.Errorf("missing %s after an interrupt", got)
		}
	})
}

func TestAChangeAtTheStoreDropsReceivedParts(t *testing.T) {
	same := promise(rows(256))
	for _, tt := range []struct {
		name   string
		change func(*verify.Want)
		want   string
	}{
		{"no change", func(*verify.Want) {}, "64+64"},
		{"a weaker ETag", func(w *verify.Want) { w.ETag = `W/"v1"` }, "64+64"},
		{"less is said", func(w *verify.Want) { *w = verify.NoPromise() }, "64+64"},
		{"size", func(w *verify.Want) { w.Size++ }, allParts},
		{"ETag, with the same CRC64", func(w *verify.Want) { w.ETag = `"v2"` }, "64+64"},
		{"ETag, and no CRC64", func(w *verify.Want) { w.ETag, w.CRC64 = `"v2"`, "" }, allParts},
		{"time, with the same ETag", func(w *verify.Want) { w.CRC64, w.Modified = "", "2026-12-01T07:00:00Z" }, "64+64"},
		{"time, with the same ETag but weak", func(w *verify.Want) { w.ETag, w.CRC64, w.Modified = `W/"v1"`, "", "2026-12-01T07:00:00Z" }, allParts},
		{"time, and no ETag", func(w *verify.Want) { w.ETag, w.CRC64, w.Modified = "", "", "2026-12-01T07:00:00Z" }, allParts},
		{"CRC64", func(w *verify.Want) { w.CRC64 = "1" }, allParts},
	} {
		t.Run(tt.name, func(t *testing.T) {
			torn, said := newTorn(t), same
			tt.change(&said)
			torn.with(verify.NoPromise(), func(p *Partial) {
				if err := p.AddPromise(said); errors.Is(err, ErrChanged) != (tt.want == allParts) {
					t.Errorf("%v", err)
				}
			})
			torn.mustMiss(tt.want)
		})
	}
}

func TestAStoreThatContradictsTheJobIsAMismatch(t *testing.T) {
	torn := newTorn(t)
	torn.with(promise(torn.body), func(p *Partial) {
		p.answered = false // as if the store had not answered yet
		_, isMismatch := errors.AsType[*verify.Mismatch](p.AddPromise(verify.Want{Size: 255}))
		if !isMismatch {
			t.Error("no mismatch")
		}
	})
	torn.mustMiss(allParts)
}

func TestDiscardedPartsAreDropped(t *testing.T) {
	torn := newTorn(t)
	torn.with(promise(torn.body), (*Partial).Discard)
	torn.mustMiss(allParts)
}
