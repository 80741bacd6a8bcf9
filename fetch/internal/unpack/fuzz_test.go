package unpack

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"tallyman/fetch/internal/memory"
)

var fuzzLimits = Limits{Bytes: 1 << 20, Entries: 1000}

func FuzzZip(f *testing.F) {
	for _, b := range corpus(f, "zip") {
		f.Add(b)
	}
	for _, size := range []int{0, 12, 16, 20, 24} {
		z := someEntries(3)
		z.entries[0].zip64, z.zip64 = true, size > 16
		for i := range z.entries {
			z.entries[i].descriptor = size
		}
		f.Add(z.bytes(f))
	}
	for _, c := range unusualZips(f) {
		f.Add(c.zip.bytes(f))
	}
	f.Add(zip64InComment().bytes(f))
	f.Add(quotedOverlap(f, 3))
	f.Fuzz(func(t *testing.T, b []byte) {
		before := heapAllocs()
		got, err := unzip(t, b, fuzzLimits)
		// Two workers may have a zstd window each.
		if n := heapAllocs() - before; n > 2*memory.MaxWindow+64<<20+20*uint64(len(b)) {
			t.Errorf("allocated %d bytes for %d", n, len(b))
		}
		safe(t, got)
		if err == nil {
			asOthersRead(t, b, got)
		}
	})
}

func FuzzTar(f *testing.F) {
	for _, b := range corpus(f, "tar") {
		if len(b) < 100_000 {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := heapAllocs()
		got, err := untarred(t, b, fuzzLimits)
		if n := heapAllocs() - before; n > 64<<20+20*uint64(len(b)) {
			t.Errorf("allocated %d bytes for %d", n, len(b))
		}
		safe(t, got)
		if err == nil {
			asTarReads(t, b, got)
		}
	})
}

// asTarReads checks that archive/tar finds the same files in a tar.
func asTarReads(t *testing.T, b []byte, want map[string]string) {
	t.Helper()
	r, got := tar.NewReader(bytes.NewReader(b)), map[string]string{}
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("no other reader accepts it: %v", err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatalf("only we can read %q: %v", h.Name, err)
		}
		if h.Typeflag == tar.TypeReg {
			got[strings.TrimPrefix(h.Name, "./")] = string(content)
		}
	}
	sameFiles(t, got, want)
}

func heapAllocs() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// safe checks the files that a container made, whether it was refused or not.
func safe(t *testing.T, files map[string]string) {
	t.Helper()
	total := 0
	folded := map[string]bool{}
	for name, content := range files {
		total += len(content)
		if !filepath.IsLocal(name) || filepath.Clean(name) != name || strings.ContainsAny(name, "\\:\x00") {
			t.Errorf("created %q", name)
		}
		if key := strings.ToLower(name); folded[key] {
			t.Errorf("created %q in two cases", name)
		} else {
			folded[key] = true
		}
	}
	if total > int(fuzzLimits.Bytes) || len(files) > fuzzLimits.Entries {
		t.Errorf("created %d files of %d bytes", len(files), total)
	}
}

// onlyGoRefuses reports whether archive/zip refuses the end record of a zip that
// others read: it takes one that is quoted in the comment, and wants a number of
// disks and the size of the comment where they are left open.
func onlyGoRefuses(b []byte) bool {
	end := bytes.LastIndex(b, []byte(endMagic))
	locator := max(0, end-locatorSize)
	return bytes.Count(b, []byte(endMagic)) > 1 || bytes.HasSuffix(b, []byte(endMagic+allOnes)) ||
		end >= locatorSize && string(b[locator:locator+4]) == locatorMagic && le.Uint32(b[end-4:]) == 0
}

// asOthersRead checks that archive/zip finds the same files in a zip.
func asOthersRead(t *testing.T, b []byte, want map[string]string) {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil && onlyGoRefuses(b) {
		return
	}
	if err != nil {
		t.Fatalf("no other reader accepts it: %v", err)
	}
	r.RegisterDecompressor(methodZstd, zstd.ZipDecompressor())
	got := map[string]string{}
	for _, f := range r.File {
		in, err := f.Open()
		if err != nil {
			t.Fatalf("no other reader opens %q: %v", f.Name, err)
		}
		content, err := io.ReadAll(in)
		if err != nil {
			t.Fatalf("only we can read %q: %v", f.Name, err)
		}
		if !strings.HasSuffix(f.Name, "/") {
			got[f.Name] = string(content)
		}
	}
	sameFiles(t, got, want)
}

// sameFiles checks that we have the files of another reader. Ours may have other
// names where theirs can't be held by some system, but only there.
func sameFiles(t *testing.T, theirs, ours map[string]string) {
	t.Helper()
	var left, renamed []string
	for name, content := range theirs {
		if got, ok := ours[name]; !ok {
			left = append(left, content)
		} else if got != content {
			t.Errorf("others find %.100q in %q, we %.100q", content, name, got)
		}
	}
	for name, content := range ours {
		if _, ok := theirs[name]; !ok {
			renamed = append(renamed, content)
		}
	}
	slices.Sort(left)
	slices.Sort(renamed)
	if !slices.Equal(left, renamed) {
		t.Errorf("others find %.300q, we %.300q", theirs, ours)
	}
}
