package oss

import (
	"bytes"
	"cmp"
	"crypto/md5"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"tallyman/fetch"
	"tallyman/fetch/internal/acs"
	"tallyman/verify"
	"tallyman/verify/archive"
)

// startRclone serves the directories of a directory as buckets, by a server
// that nobody here wrote: rclone serve s3, which believes whatever signature.
func startRclone(t *testing.T, dir string) *Store {
	t.Helper()
	rclone, err := exec.LookPath(cmp.Or(os.Getenv("TALLYMAN_RCLONE"), "rclone"))
	if err != nil {
		if slices.Contains(strings.Split(os.Getenv("TALLYMAN_REQUIRE"), ","), "rclone") {
			t.Fatal("TALLYMAN_REQUIRE lists rclone: ", err)
		}
		t.Skip("no rclone on PATH nor at $TALLYMAN_RCLONE: go install github.com/rclone/rclone@v1.76.0")
	}
	addr := freeAddress(t)
	var said bytes.Buffer
	server := exec.Command(rclone, "serve", "s3", "--config", os.DevNull, "--addr", addr, "--vfs-cache-mode", "off", "--dir-cache-time", "10ms", dir)
	server.Stdout, server.Stderr = &said, &said
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Process.Kill()
		server.Wait()
		if t.Failed() {
			t.Logf("rclone: %s", &said)
		}
	})
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
			break
		}
		if time.Since(begun) > 30*time.Second {
			t.Fatal("rclone does not listen: ", err)
		}
	}
	return &Store{Endpoint: "http://" + addr, Keys: acs.Static(keys).Keys}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// rows are n rows of CSV under a header row.
func rows(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	b := []byte("time,level,message\n")
	for i := range n {
		b = fmt.Appendf(b, "%d,INFO,request %x\n", i, r.Uint64())
	}
	return b
}

func zstdOf(t *testing.T, content []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(content, nil)
}

// oddFiles are contents by the name under e/ that the server has them under.
func oddFiles(t *testing.T) map[string][]byte {
	files := map[string][]byte{"part-1.csv.zst": zstdOf(t, rows(50_000)), "part-2.csv": rows(20_000)}
	for _, name := range []string{
		"a+b c.csv", "100%.csv", "100%25.csv", "%2B.csv", "é/ü 日本.csv", "a?b=c&d#e.csv", "~!*'().csv", "sp ace/+/plus.csv", "<&>\".csv",
	} {
		files[name] = []byte("name,n\n\"" + strings.ReplaceAll(name, `"`, `""`) + "\",1\n")
	}
	return files
}

func writeFiles(t *testing.T, dir string, files map[string][]byte) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRclone(t *testing.T) {
	dir, files := t.TempDir(), oddFiles(t)
	writeFiles(t, filepath.Join(dir, "bkt-one", "e"), files)
	writeFiles(t, filepath.Join(dir, "bkt-one"), map[string][]byte{"other.csv": []byte("x"), "empty/none.csv": nil})
	store := startRclone(t, dir)
	store.PageSize = 2
	t.Run("lists in pages", func(t *testing.T) { listRclone(t, store, files) })
	t.Run("reads by ranges", func(t *testing.T) { readRclone(t, store, dir) })
	t.Run("refuses", func(t *testing.T) { refuseRclone(t, store) })
	t.Run("lands", func(t *testing.T) { landRclone(t, store, files) })
}

func listRclone(t *testing.T, store *Store, files map[string][]byte) {
	found := map[string]bool{}
	for o, err := range store.Objects(t.Context(), Selection{Bucket: "bkt-one", Prefix: "e/", Since: time.Now().Add(-time.Hour)}) {
		if err != nil {
			t.Fatal(err)
		}
		content, ok := files[o.Name]
		if !ok || found[o.Name] {
			t.Errorf("it lists %q", o.Name)
		}
		found[o.Name] = true
		if want := fmt.Sprintf(`"%x"`, md5.Sum(content)); o.Want.Size != int64(len(content)) || o.Want.ETag != want {
			t.Errorf("%q: promised %+v", o.Name, o.Want)
		}
	}
	if len(found) != len(files) {
		t.Errorf("listed %d of %d", len(found), len(files))
	}
}

func object1(t *testing.T, store *Store, prefix string) fetch.Object {
	t.Helper()
	for o, err := range store.Objects(t.Context(), Selection{Bucket: "bkt-one", Prefix: prefix}) {
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	panic("an empty listing without an error")
}

func readRclone(t *testing.T, store *Store, dir string) {
	o := object1(t, store, "e/a+b")
	for _, c := range []struct {
		off, n int64
		want   string
	}{{0, 4, "name"}, {5, 1, "n"}, {7, verify.Unknown, "\"a+b c.csv\",1\n"}, {7, 1000, "\"a+b c.csv\",1\n"}} {
		if got := readAll(t, o, c.off, c.n); got != c.want {
			t.Errorf("%d bytes at %d: got %q, want %q", c.n, c.off, got, c.want)
		}
	}
	if _, err := o.Source.ReadRange(t.Context(), 1000, 4, ""); !errors.Is(err, fetch.ErrChanged) {
		t.Errorf("beyond the end: got %v", err)
	}
	if got := readAll(t, object1(t, store, "empty/"), 0, 100); got != "" {
		t.Errorf("of an empty object: %q", got)
	}
	o = object1(t, store, "other")
	writeFiles(t, filepath.Join(dir, "bkt-one"), map[string][]byte{"other.csv": []byte("changed")})
	time.Sleep(100 * time.Millisecond) // the server looks at the disk again
	if _, err := o.Source.ReadRange(t.Context(), 0, 1, ""); !errors.Is(err, fetch.ErrChanged) {
		t.Errorf("of an object that changed: got %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "bkt-one", "other.csv")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	if _, err := o.Source.ReadRange(t.Context(), 0, 1, ""); !errors.Is(err, fetch.ErrNotFound) {
		t.Errorf("of an object that is gone: got %v", err)
	}
}

func refuseRclone(t *testing.T, store *Store) {
	for _, in := range []Selection{{Bucket: "bkt-two"}, {Bucket: "bkt-one", Prefix: "nope"}} {
		if _, err := names(store.Objects(t.Context(), in)); !errors.Is(err, fetch.ErrNotFound) {
			t.Errorf("%v: got %v, want ErrNotFound", in, err)
		}
	}
}

func landRclone(t *testing.T, store *Store, files map[string][]byte) {
	a, err := archive.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f := &fetch.Fetcher{Providers: map[string]fetch.Provider{"oss": &Provider{store}}, Archive: a, PartSize: 64 << 10, Parallel: 4}
	ref := parseRef(t, "oss://bkt-one/e/")
	receipt, err := f.Fetch(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	if len(receipt.Doubts) > 0 {
		t.Errorf("doubts: %q", receipt.Doubts)
	}
	for name, want := range files {
		name = strings.ReplaceAll(name, "%", "_25")
		if name == "part-1.csv.zst" {
			name, want = "part-1.csv", rows(50_000)
		}
		got, err := os.ReadFile(filepath.Join(a.Path(ref.Key()), "data", filepath.FromSlash(name)))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the store has: %v", name, err)
		}
	}
	if err := a.Recheck(t.Context(), ref.Key()); err != nil {
		t.Error(err)
	}
}
