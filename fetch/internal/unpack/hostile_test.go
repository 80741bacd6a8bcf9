package unpack

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// skipWithout ends a test whose corpus is not installed. If TALLYMAN_REQUIRE
// lists corpora, the test fails.
func skipWithout(t testing.TB, why ...any) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("TALLYMAN_REQUIRE"), ","), "corpora") {
		t.Fatal(append([]any{"TALLYMAN_REQUIRE lists corpora: "}, why...)...)
	}
	t.Skip(append([]any{"a corpus is not here: "}, why...)...)
}

// found returns zips that were found by fuzzing other readers.
func found(t testing.TB) map[string][]byte {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/klauspost/compress").Output()
	if err != nil {
		skipWithout(t, err)
	}
	z, err := zip.OpenReader(filepath.Join(strings.TrimSpace(string(dir)), "zip/testdata/FuzzReader-raw.zip"))
	if err != nil {
		skipWithout(t, err)
	}
	defer z.Close()
	all := map[string][]byte{}
	for _, f := range z.File {
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if all[f.Name], err = io.ReadAll(in); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestZipsFoundByFuzzingAreRefusedOrReadAlike(t *testing.T) {
	unpacked := 0
	for name, b := range found(t) {
		t.Run(name, func(t *testing.T) {
			got, err := unzip(t, b, fuzzLimits)
			safe(t, got)
			if err == nil {
				unpacked++
				asOthersRead(t, b, got)
			}
		})
	}
	t.Logf("%d unpacked", unpacked)
}

func TestBombsOfAnySizeAreRefusedInLittleMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("memory is measured without the detector")
	}
	entries := 65535
	if testing.Short() {
		entries = 8000
	}
	for name, bomb := range map[string][]byte{
		"full overlap": fullOverlap(t, entries), "quoted overlap": quotedOverlap(t, 1000),
	} {
		var err error
		began := time.Now()
		n := allocated(func() { _, err = unzip(t, bomb, Limits{}) })
		t.Logf("%s of %d bytes: %v, %d bytes of memory", name, len(bomb), time.Since(began), n)
		if !errors.Is(err, ErrBomb) || n > 64<<20 {
			t.Errorf("%s of %d bytes: allocated %d, error %v, want ErrBomb", name, len(bomb), n, err)
		}
	}
}

func TestErrorsSayWhichLimitWasExceeded(t *testing.T) {
	two := testZip{entries: []testEntry{{name: "a", content: "12345"}, {name: "b", content: "12345"}}}.bytes(t)
	tarred := tarred(t, tar.Header{Name: "a/b", Linkname: "12345", Mode: 0o644})
	for _, c := range []struct {
		unpack func(testing.TB, []byte, Limits) (map[string]string, error)
		b      []byte
		limits Limits
		want   Limit
	}{
		{unzip, two, Limits{Bytes: 9}, LimitDecoded},
		{unzip, two, Limits{EntryBytes: 4}, LimitDecoded},
		{unzip, two, Limits{Entries: 1}, LimitEntries},
		{unzip, named1("a/b").bytes(t), Limits{Entries: 1}, LimitEntries},
		{untarred, tarred, Limits{Bytes: 9}, LimitDecoded},
		{untarred, tarred, Limits{Bytes: 1024}, LimitDecoded},
		{untarred, tarred, Limits{EntryBytes: 4}, LimitDecoded},
		{untarred, tarred, Limits{Entries: 1}, LimitEntries},
	} {
		_, err := c.unpack(t, c.b, c.limits)
		refused(t, err, ErrBomb, "limit")
		if got, ok := errors.AsType[*LimitError](err); !ok || got.Limit != c.want {
			t.Errorf("%+v: %v, want the limit %q", c.limits, err, c.want)
		}
	}
}

func TestIsTarRecognizesWrongChecksums(t *testing.T) {
	whole := tarred(t, tar.Header{Name: "a", Linkname: "x", Mode: 0o644})
	bad := bytes.Clone(whole)
	bad[0] ^= 1
	for _, c := range []struct {
		name string
		head []byte
		want bool
	}{
		{"whole", whole, false},
		{"damaged", bad, true},
		{"too short to tell", bad[:511], false},
		{"text", bytes.Repeat([]byte("ustar,00\n"), 100), false},
		{"zeros", make([]byte, 512), false},
	} {
		if _, got := IsTar(c.head); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
