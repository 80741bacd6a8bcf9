package unpack

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
)

// csv returns n bytes of a table.
func csv(n int) []byte {
	var b bytes.Buffer
	r := rand.New(rand.NewPCG(1, 2))
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%d,2025-08-%02d,order-%x,%d.%02d,paid\n", i, 1+r.IntN(30), r.Uint32(), r.IntN(1000), r.IntN(100))
	}
	return b.Bytes()[:n]
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Close() error                { return nil }

func BenchmarkZip(b *testing.B) {
	const entries, size = 200, 1 << 20
	content := string(csv(size))
	for _, method := range []struct {
		name string
		id   uint16
	}{{"stored", methodStored}, {"deflate", methodDeflate}, {"zstd", methodZstd}} {
		encoded := encode(b, method.id, content)
		var z testZip
		for i := range entries {
			z.entries = append(z.entries, testEntry{name: fmt.Sprint(i), content: content, method: method.id, encoded: encoded})
		}
		file := z.bytes(b)
		for _, workers := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/workers=%d", method.name, workers), func(b *testing.B) {
				b.SetBytes(entries * size)
				b.ReportAllocs()
				for b.Loop() {
					_, err := Zip(context.Background(), bytes.NewReader(file), int64(len(file)), workers, Limits{},
						func(string) (io.WriteCloser, error) { return discard{}, nil })
					if err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkDirectory measures the checks before anything is unpacked.
func BenchmarkDirectory(b *testing.B) {
	z := testZip{zip64: true}
	for i := range 100_000 {
		z.entries = append(z.entries, testEntry{name: fmt.Sprintf("export/%03d/part-%05d.csv", i/1000, i)})
	}
	file := z.bytes(b)
	b.ReportAllocs()
	for b.Loop() {
		_, err := Zip(context.Background(), bytes.NewReader(file), int64(len(file)), 1, Limits{},
			func(string) (io.WriteCloser, error) { return discard{}, nil })
		if err != nil {
			b.Fatal(err)
		}
	}
}
