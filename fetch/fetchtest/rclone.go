package fetchtest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"iter"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/sandbox"
	"tallyman/verify"
	"tallyman/verify/archive"
)

// An Rclone tests the provider of a store against a server that others wrote:
// rclone serve s3, which serves the directories of a directory as buckets.
type Rclone struct {
	Scheme string   // of the references
	ETag   string   // the form of those in a listing: `"%x"`
	Flags  []string // of the server, besides those that all have

	// New makes a provider of the server at an endpoint, and a Lister of the
	// same objects.
	New func(endpoint string) (fetch.Provider, Lister)

	provider fetch.Provider
	objects  Lister
	dir      string
	files    map[string][]byte // what the server has under "bkt-one/e +", by name
}

// A Lister lists the objects of a bucket under a prefix.
type Lister func(ctx context.Context, bucket, prefix string) iter.Seq2[fetch.Object, error]

// Run runs the suite. It is skipped if there is no rclone and none is required.
func (r Rclone) Run(t *testing.T) {
	r.dir = t.TempDir()
	r.files = map[string][]byte{"part-1.csv.zst": sandbox.Compress("zstd", sandbox.Generate(20_000, "csv", 1)), "part-2.csv": sandbox.Generate(20_000, "csv", 2)}
	for _, name := range []string{
		"a+b c.csv", "100%.csv", "100%25.csv", "%2B.csv", "é/ü 日本.csv", "a?b=c&d#e.csv", "~!*'().csv", "sp ace/+/plus.csv", "<&>\".csv",
	} {
		r.files[name] = []byte("name,n\n\"" + strings.ReplaceAll(name, `"`, `""`) + "\",1\n")
	}
	writeFiles(t, filepath.Join(r.dir, "bkt-one", "e +"), r.files)
	writeFiles(t, filepath.Join(r.dir, "bkt-one"), map[string][]byte{"other.csv": []byte("x"), "empty/none.csv": nil})
	r.provider, r.objects = r.New(r.start(t))
	t.Run("lists in pages", r.list)
	t.Run("reads by ranges", r.read)
	t.Run("refuses", func(t *testing.T) {
		for _, in := range [][2]string{{"bkt-two", ""}, {"bkt-one", "nope"}} {
			for _, err := range r.objects(t.Context(), in[0], in[1]) {
				if !errors.Is(err, fetch.ErrNotFound) {
					t.Errorf("%v: got %v, want ErrNotFound", in, err)
				}
			}
		}
	})
	t.Run("lands", r.land)
}

func (r *Rclone) start(t *testing.T) (endpoint string) {
	rclone, err := exec.LookPath(cmp.Or(os.Getenv("TALLYMAN_RCLONE"), "rclone"))
	switch {
	case err != nil && Required("rclone"):
		t.Fatal("TALLYMAN_REQUIRE lists rclone: ", err)
	case err != nil:
		t.Skip("no rclone on PATH nor at $TALLYMAN_RCLONE: go install github.com/rclone/rclone@v1.76.0")
	}
	addr, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	server := exec.CommandContext(t.Context(), rclone, append([]string{"serve", "s3", "--config", os.DevNull, "--addr", addr,
		"--vfs-cache-mode", "off", "--dir-cache-time", "10ms", r.dir}, r.Flags...)...)
	server.Stdout, server.Stderr = &said, &said
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Wait() // the context of the test has ended, and it with that
		if t.Failed() {
			t.Logf("rclone: %s", &said)
		}
	})
	eventually(t, "rclone listens", func() error {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err
	})
	return "http://" + addr
}

// eventually tries again and again until there is no error.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		err := try()
		if err == nil {
			return
		}
		if time.Since(begun) > 30*time.Second {
			t.Fatalf("%s: not in time: %v", what, err)
		}
	}
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

func (r *Rclone) list(t *testing.T) {
	found := map[string]bool{}
	for o, err := range r.objects(t.Context(), "bkt-one", "e +/") {
		if err != nil {
			t.Fatal(err)
		}
		content, ok := r.files[o.Name]
		if !ok || found[o.Name] {
			t.Errorf("%q is listed, and is not there or was listed before", o.Name)
		}
		found[o.Name] = true
		if want := (verify.Want{Size: int64(len(content)), ETag: fmt.Sprintf(r.ETag, md5.Sum(content))}); o.Want != want {
			t.Errorf("%q promises %+v, want %+v", o.Name, o.Want, want)
		}
	}
	if len(found) != len(r.files) {
		t.Errorf("%d objects were listed, want %d", len(found), len(r.files))
	}
}

// first returns the first object below a prefix.
func (r *Rclone) first(t *testing.T, prefix string) fetch.Object {
	t.Helper()
	for o, err := range r.objects(t.Context(), "bkt-one", prefix) {
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	t.Fatalf("no object below %q is listed, and no error", prefix)
	return fetch.Object{}
}

func (r *Rclone) read(t *testing.T) {
	o := r.first(t, "e +/a+b")
	for _, c := range []struct {
		off, n int64
		want   string
	}{{0, 4, "name"}, {0, 1, "n"}, {5, 1, "n"}, {7, verify.Unknown, "\"a+b c.csv\",1\n"}, {7, 1000, "\"a+b c.csv\",1\n"}} {
		if got := ReadAll(t, o, c.off, c.n); got != c.want {
			t.Errorf("%d bytes at %d: got %q, want %q", c.n, c.off, got, c.want)
		}
	}
	if _, err := o.Source.ReadRange(t.Context(), 1000, 4, ""); !errors.Is(err, fetch.ErrChanged) {
		t.Errorf("a read beyond the end: got %v, want ErrChanged", err)
	}
	if got := ReadAll(t, r.first(t, "empty/"), 0, 100); got != "" {
		t.Errorf("an empty object reads as %q", got)
	}
	o = r.first(t, "other")
	writeFiles(t, filepath.Join(r.dir, "bkt-one"), map[string][]byte{"other.csv": []byte("changed")})
	becomes(t, o, fetch.ErrChanged)
	if err := os.Remove(filepath.Join(r.dir, "bkt-one", "other.csv")); err != nil {
		t.Fatal(err)
	}
	becomes(t, o, fetch.ErrNotFound)
}

// becomes waits until a read of an object fails with an error. The server looks
// at its disk only now and then.
func becomes(t *testing.T, o fetch.Object, want error) {
	t.Helper()
	eventually(t, want.Error(), func() error {
		answer, err := o.Source.ReadRange(t.Context(), 0, 1, "")
		if errors.Is(err, want) {
			return nil
		}
		if err == nil {
			answer.Close()
		}
		return fmt.Errorf("read it: %w", err)
	})
}

func (r *Rclone) land(t *testing.T) {
	a, err := archive.Open(t.TempDir(), "", archive.SiteEmpty)
	if err != nil {
		t.Fatal(err)
	}
	f := &fetch.Fetcher{Providers: map[string]fetch.Provider{r.Scheme: r.provider}, Archive: a, PartSize: 64 << 10, Parallel: 4}
	ref := ParseRef(t, r.Scheme+"://bkt-one/e +/")
	receipt, err := f.Fetch(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	if len(receipt.Doubts) > 0 {
		t.Errorf("it landed with doubts: %q", receipt.Doubts)
	}
	for name, want := range r.files {
		name = strings.ReplaceAll(name, "%", "_25")
		if name == "part-1.csv.zst" {
			name, want = "part-1.csv", sandbox.Generate(20_000, "csv", 1)
		}
		got, err := os.ReadFile(filepath.Join(a.Path(ref.Key()), "data", filepath.FromSlash(name)))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the store has: %v", name, err)
		}
	}
	if err := a.Recheck(t.Context(), ref.Key(), nil); err != nil {
		t.Error(err)
	}
}
