package main

import (
	"bytes"
	"crypto/md5"
	"flag"
	"fmt"
	"hash"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"tallyman/fetch/fetchtest"
	"tallyman/fetch/sandbox"
)

var largeExport = flag.Int64("large", 512<<20, "how many bytes of content the large export has")

// windowFiles of 128 MiB each take twice the budget already by default.
var windowFiles = flag.Int("windows", 8, "how many files need the largest window")

const (
	mostMemory = 96 << 20

	largestWindow = 128 << 20 // that of "zstd --long=27"
)

// What is as large as it likes to be takes no more memory than what is small.
func TestMemoryDoesNotGrowWithTheExport(t *testing.T) {
	binary := buildForMemory(t)
	const name = "large.csv.zst"
	url, root := startNginx(t, []storedFile{{Name: name}})
	promises := generateLarge(t, filepath.Join(root, name))
	archive := t.TempDir()
	p := command(t, "fetch", "--archive", archive, "--allow-host", "127.0.0.1", url+name+"#"+promises)
	inBounds(t, p, binary, mostMemory)
	inBounds(t, command(t, "verify", "--archive", archive), binary, mostMemory)
}

// Decoders take their windows from one budget, so that files which need a large
// one wait for each other.
func TestManyLargeWindowsStayWithinTheBudget(t *testing.T) {
	binary := buildForMemory(t)
	const budget = 512 << 20
	content := bytes.Repeat([]byte("1;--\n"), (largestWindow+8<<20)/5) // fills the window
	var encoded bytes.Buffer
	z, err := zstd.NewWriter(&encoded, zstd.WithWindowSize(largestWindow))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(content); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	var stored []storedFile
	for i := range *windowFiles {
		stored = append(stored, storedFile{fmt.Sprintf("%d.sql.zst", i), ossHeader, encoded.Bytes()})
	}
	url, _ := startNginx(t, stored)
	args := []string{"fetch", "--archive", t.TempDir(), "--allow-host", "127.0.0.1", "--parallel", "16", "--keep", "wire", "--max-decoded", "1GiB"}
	for _, f := range stored {
		args = append(args, url+f.Name+"#md5="+f.MD5())
	}
	inBounds(t, command(t, args...), binary, budget+64<<20)
}

// buildForMemory builds the command. It skips the test where memory is not to be
// measured.
func buildForMemory(t *testing.T) (binary string) {
	t.Helper()
	if testing.Short() || !fetchtest.Required("memory") {
		t.Skip("TALLYMAN_REQUIRE does not name memory")
	}
	binary = filepath.Join(t.TempDir(), "tallyman")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, module+"/cmd/tallyman").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return binary
}

// inBounds runs a process by another binary, which must end well and take no more
// than so many bytes of memory.
func inBounds(t *testing.T, p *process, binary string, limit int64) {
	t.Helper()
	p.Path = binary
	began := time.Now()
	p.start(t)
	peak := make(chan int64)
	go func() { peak <- peakMemory(p.Process.Pid) }()
	p.exits(t, 0)
	most := <-peak
	t.Logf("%s: at most %d KiB of memory, %v\n%s", p.Args[1], most>>10, time.Since(began).Round(time.Second/10), &p.stdout)
	if most == 0 || most > limit {
		t.Errorf("%s took %d KiB of memory, want at most %d", p.Args[1], most>>10, limit>>10)
	}
}

// peakMemory is the most memory that a process held, once it has ended. What
// wait tells of it counts the memory of who started it.
func peakMemory(pid int) (most int64) {
	for {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		_, text, ok := strings.Cut(string(status), "VmHWM:")
		if err != nil || !ok {
			return most
		}
		var n int64
		fmt.Sscan(text, &n)
		most = n << 10
		time.Sleep(5 * time.Millisecond)
	}
}

// generateLarge writes a file that decodes to many bytes, and returns what can
// be promised of it. Blocks are repeated within zstd's window, to keep it
// small, and come again beyond it.
func generateLarge(t *testing.T, path string) string {
	t.Helper()
	const rows, blocks, times = 10000, 12, 8
	var pool [blocks][]byte
	for i := range pool {
		_, pool[i], _ = bytes.Cut(sandbox.Generate(rows, "csv", uint64(i)), []byte("\n"))
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sum := md5.New()
	written, records := compressLarge(t, io.MultiWriter(f, sum), func(n int) []byte { return pool[n/times%blocks] })
	t.Logf("%d bytes of content, %d rows", written, records*rows)
	return promisesOf(sum, records*rows)
}

func promisesOf(sum hash.Hash, records int) string {
	return fmt.Sprintf("md5=%x&records=%d", sum.Sum(nil), records)
}

// compressLarge writes block after block, and returns how many bytes and
// blocks there were.
func compressLarge(t *testing.T, w io.Writer, block func(n int) []byte) (written int64, blocks int) {
	t.Helper()
	z, err := zstd.NewWriter(w)
	if err != nil {
		t.Fatal(err)
	}
	for written < *largeExport {
		n, err := z.Write(block(blocks))
		if err != nil {
			t.Fatal(err)
		}
		written += int64(n)
		blocks++
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return written, blocks
}
