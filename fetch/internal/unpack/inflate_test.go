package unpack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	kzip "github.com/klauspost/compress/zip"
	"github.com/klauspost/compress/zstd"
)

// A brokenFile fails in the methods that it is told to.
type brokenFile struct {
	write, close error
	closed       *atomic.Int32
}

func (f brokenFile) Write(p []byte) (int, error) {
	if f.write != nil {
		return 0, f.write
	}
	return len(p), nil
}

func (f brokenFile) Close() error {
	f.closed.Add(1)
	return f.close
}

func someEntries(n int) testZip {
	var z testZip
	for i := range n {
		e := methodOf([]uint16{methodStored, methodDeflate, methodZstd}[i%3])
		e.name = fmt.Sprintf("d/%03d", i)
		z.entries = append(z.entries, e)
	}
	return z
}

func TestErrorsOfContentFilesAreReturnedUnchanged(t *testing.T) {
	b := someEntries(20).bytes(t)
	for _, c := range []struct {
		name         string
		create       error
		write, close error
	}{
		{name: "create", create: syscall.ENOSPC},
		{name: "write", write: syscall.ENOSPC},
		{name: "close", close: syscall.ENOSPC},
		{name: "write and close", write: syscall.ENOSPC, close: io.ErrClosedPipe},
	} {
		for _, workers := range []int{0, 1, 4} {
			t.Run(fmt.Sprint(c.name, workers), func(t *testing.T) {
				var opened, closed atomic.Int32
				create := func(string) (io.WriteCloser, error) {
					if c.create != nil {
						return nil, c.create
					}
					opened.Add(1)
					return brokenFile{c.write, c.close, &closed}, nil
				}
				_, err := Zip(context.Background(), bytes.NewReader(b), int64(len(b)), workers, Limits{}, create)
				if err != syscall.ENOSPC {
					t.Errorf("error %v", err)
				}
				if opened.Load() != closed.Load() {
					t.Errorf("opened %d files, closed %d", opened.Load(), closed.Load())
				}
			})
		}
	}
}

// A failing reader fails from its n-th read on.
type failing struct {
	io.ReaderAt
	n atomic.Int64
}

func (f *failing) ReadAt(p []byte, off int64) (int, error) {
	if f.n.Add(-1) < 0 {
		return 0, syscall.EIO
	}
	return f.ReaderAt.ReadAt(p, off)
}

func TestErrorsOfTheReaderAreNotCalledCorrupt(t *testing.T) {
	z := someEntries(20)
	z.zip64, z.entries[1].descriptor = true, 24
	b := z.bytes(t)
	for n := int64(0); ; n++ {
		in := &failing{ReaderAt: bytes.NewReader(b)}
		in.n.Store(n)
		_, err := Zip(context.Background(), in, int64(len(b)), 2, Limits{}, (&sink{}).create)
		if err == nil && n > 60 {
			break
		}
		if !errors.Is(err, syscall.EIO) || errors.Is(err, ErrCorrupt) {
			t.Fatalf("read %d fails: error %v", n, err)
		}
	}
}

type shortWriter struct{}

func (shortWriter) Write(p []byte) (int, error) { return len(p) / 2, nil }
func (shortWriter) Close() error                { return nil }

func TestAShortWriteIsNotCalledCorrupt(t *testing.T) {
	b := someEntries(3).bytes(t)
	_, err := Zip(context.Background(), bytes.NewReader(b), int64(len(b)), 1, Limits{}, func(string) (io.WriteCloser, error) { return shortWriter{}, nil })
	if err != io.ErrShortWrite {
		t.Errorf("error %v", err)
	}
}

func TestZipStopsWhenItsContextEnds(t *testing.T) {
	cause := errors.New("drained")
	b := one(testEntry{name: "a", method: methodDeflate, content: strings.Repeat("x", 16<<20)}).bytes(t)
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancelCause(context.Background())
	var closed atomic.Int32
	start := time.Now()
	_, err := Zip(ctx, bytes.NewReader(b), int64(len(b)), 2, Limits{}, func(string) (io.WriteCloser, error) {
		cancel(cause)
		return brokenFile{closed: &closed}, nil
	})
	if !errors.Is(err, cause) || closed.Load() != 1 {
		t.Errorf("error %v, closed %d files", err, closed.Load())
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	if _, err := Zip(ctx, bytes.NewReader(b), int64(len(b)), 2, Limits{}, (&sink{}).create); !errors.Is(err, cause) {
		t.Errorf("ended before: error %v", err)
	}
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}

func TestTheFirstErrorStopsAllWorkers(t *testing.T) {
	z := someEntries(100)
	z.entries[0].encoded = bytes.Repeat([]byte("!"), len(z.entries[0].content))
	b := z.bytes(t)
	var s sink
	_, err := Zip(context.Background(), bytes.NewReader(b), int64(len(b)), 1, Limits{}, s.create)
	refused(t, err, ErrCorrupt, `"d/000": CRC-32 is`)
	if len(s.files) != 1 {
		t.Errorf("created %d files, want 1", len(s.files))
	}
}

func TestManyWorkersUnpackEachEntryOnce(t *testing.T) {
	z := someEntries(200)
	b := z.bytes(t)
	var s sink
	n, err := Zip(context.Background(), bytes.NewReader(b), int64(len(b)), 8, Limits{}, s.create)
	if got := s.contents(t, n, err); err != nil || len(got) != 200 {
		t.Errorf("unpacked %d files, error %v", len(got), err)
	}
}

func TestZipsOfTheKlauspostWriterUnpack(t *testing.T) {
	var b bytes.Buffer
	w := kzip.NewWriter(&b)
	w.RegisterCompressor(methodZstd, zstd.ZipCompressor())
	want := strings.Repeat("a,b,c\n", 100_000)
	for _, method := range []uint16{methodStored, methodDeflate, methodZstd} {
		f, err := w.CreateHeader(&kzip.FileHeader{Name: fmt.Sprint("m", method), Method: method})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, want); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Create("empty/"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := unzip(t, b.Bytes(), Limits{})
	if err != nil || len(got) != 3 || got["m0"] != want || got["m8"] != want || got["m93"] != want {
		t.Errorf("%d files, error %v", len(got), err)
	}
}

func TestAPanicInAWorkerReachesTheCaller(t *testing.T) {
	b := testZip{entries: []testEntry{{name: "a", content: "a"}, {name: "b", content: "b"}}}.bytes(t)
	defer func() {
		if x := recover(); x != "nobody foresaw it" {
			t.Errorf("it panicked with %v", x)
		}
	}()
	_, err := Zip(t.Context(), bytes.NewReader(b), int64(len(b)), 2, Limits{}, func(string) (io.WriteCloser, error) { panic("nobody foresaw it") })
	t.Errorf("it returned %v", err)
}
