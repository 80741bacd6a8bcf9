package obs

import (
	"bytes"
	"cmp"
	"crypto/md5"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/fetch/sandbox"
	"tallyman/verify"
	"tallyman/verify/archive"
)

// startRclone serves the directories of a directory as buckets, by a server
// that nobody here wrote: rclone serve s3, which checks signatures of V4.
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
	server := exec.Command(rclone, "serve", "s3", "--config", os.DevNull, "--addr", addr, "--vfs-cache-mode", "off", "--dir-cache-time", "10ms",
		"--auth-key", keys.AK+","+keys.SK, dir)
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
	return &Store{Endpoint: "http://" + addr, Keys: StaticKeys(keys)}
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

// oddFiles are contents by the name under e/ that the server has them under.
func oddFiles() map[string][]byte {
	files := map[string][]byte{"part-1.csv.zst": sandbox.Compress("zstd", sandbox.Generate(20_000, "csv", 1)), "part-2.csv": sandbox.Generate(20_000, "csv", 2)}
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
	dir, files := t.TempDir(), oddFiles()
	writeFiles(t, filepath.Join(dir, "bkt-one", "e +"), files)
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
	for o, err := range store.Objects(t.Context(), Selection{Bucket: "bkt-one", Prefix: "e +/"}) {
		if err != nil {
			t.Fatal(err)
		}
		content, ok := files[o.Name]
		if !ok || found[o.Name] {
			t.Errorf("it lists %q", o.Name)
		}
		found[o.Name] = true
		if want := fmt.Sprintf(`W/"%x"`, md5.Sum(content)); o.Want.Size != int64(len(content)) || o.Want.ETag != want {
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
	o := object1(t, store, "e +/a+b")
	for _, c := range []struct {
		off, n int64
		want   string
	}{{0, 4, "name"}, {0, 1, "n"}, {5, 1, "n"}, {7, verify.Unknown, "\"a+b c.csv\",1\n"}, {7, 1000, "\"a+b c.csv\",1\n"}} {
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
	eventually(t, o, fetch.ErrChanged)
	if err := os.Remove(filepath.Join(dir, "bkt-one", "other.csv")); err != nil {
		t.Fatal(err)
	}
	eventually(t, o, fetch.ErrNotFound)
}

// eventually waits for the server to look at its disk again.
func eventually(t *testing.T, o fetch.Object, want error) {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		answer, err := o.Source.ReadRange(t.Context(), 0, 1, "")
		if errors.Is(err, want) {
			return
		}
		if err == nil {
			answer.Close()
		}
		if time.Since(begun) > 30*time.Second {
			t.Fatalf("got %v, want %v", err, want)
		}
	}
}

func refuseRclone(t *testing.T, store *Store) {
	for _, in := range []Selection{{Bucket: "bkt-two"}, {Bucket: "bkt-one", Prefix: "nope"}} {
		if _, err := names(store.Objects(t.Context(), in)); !errors.Is(err, fetch.ErrNotFound) {
			t.Errorf("%v: got %v, want ErrNotFound", in, err)
		}
	}
	for _, k := range []Keys{{AK: keys.AK, SK: "other"}, {AK: "other", SK: keys.SK}} {
		wrong := &Store{Endpoint: store.Endpoint, Keys: StaticKeys(k)}
		if _, err := names(wrong.Objects(t.Context(), Selection{Bucket: "bkt-one"})); !errors.Is(err, fetch.ErrAuth) {
			t.Errorf("%v: got %v, want ErrAuth", k, err)
		}
	}
}

func landRclone(t *testing.T, store *Store, files map[string][]byte) {
	a, err := archive.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f := &fetch.Fetcher{Providers: map[string]fetch.Provider{"obs": &Provider{store}}, Archive: a, PartSize: 64 << 10, Parallel: 4}
	ref := fetchtest.ParseRef(t, "obs://bkt-one/e +/")
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
			name, want = "part-1.csv", sandbox.Generate(20_000, "csv", 1)
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
