package ledger

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// million makes a ledger of a million lines of half as many exports, once for all
// benchmarks.
var million = sync.OnceValue(func() string {
	dir := filepath.Join(os.TempDir(), "ledger-of-a-million-lines")
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	must(os.RemoveAll(dir)) // of an earlier run
	must(os.MkdirAll(dir, 0o755))
	f, err := os.Create(filepath.Join(dir, "2026-12.jsonl"))
	must(err)
	defer f.Close()
	at, hash, seq := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), Open(dir, genesis, nil).genesis, int64(0)
	var b []byte
	for n := range 500_000 {
		line := landed(n)
		line.Window = &Window{Group: "access-log/*", From: int64(n) * 3600, To: int64(n+1) * 3600}
		for _, line := range []Line{{Kind: Asked, Ref: line.Ref, Key: line.Key, Profile: "default", Wait: "24h0m0s"}, line} {
			body, err := line.body()
			must(err)
			begin := len(b)
			seq++
			b = appendLine(b, seq, at, body, hash)
			hash = hashOf(b[begin:])
			b = append(b, '\n')
		}
		if len(b) > 1<<20 {
			_, err := f.Write(b)
			must(err)
			b = b[:0]
		}
	}
	_, err = f.Write(b)
	must(err)
	return dir
})

func BenchmarkIndexOfAMillionLines(b *testing.B) {
	dir := million()
	b.ReportAllocs()
	for b.Loop() {
		x, err := Open(dir, genesis, nil).Index()
		if err != nil || len(x.last) != 500_000 {
			b.Fatal(err)
		}
	}
}

func BenchmarkFindInAMillionLines(b *testing.B) {
	l := Open(million(), genesis, nil)
	for name, key := range map[string]string{"oldest": landed(0).Key, "absent": "sls/cn-hangzhou/project/absent"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				for _, err := range l.Find(key) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

func BenchmarkReadAMillionLines(b *testing.B) {
	l := Open(million(), genesis, nil)
	for b.Loop() {
		for _, err := range l.All() {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	l := newLedger(b)
	for b.Loop() {
		mustAppend(b, l, landed(1))
	}
}

func BenchmarkKeysOfAMillionLines(b *testing.B) {
	x, err := Open(million(), genesis, nil).Index()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if keys, err := x.Keys(); err != nil || len(keys) != 500_000 {
			b.Fatal(err)
		}
	}
}
