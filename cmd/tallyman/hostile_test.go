package main

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	stdgzip "compress/gzip"
	"crypto/md5"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"hash/crc64"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"tallyman/verify/archive"
	"tallyman/worker"
)

var hostileCount = flag.Int("hostile", 100, "how many hostile files are made, and as many taken that broke decoders before")

const mostHostileMemory = 400 << 20 // eight exports at once, of which each may ask for a window of its own

// A hostileStore serves files, of each in one of three ways: under its MD5, its
// CRC-64, or with no more than its length.
type hostileStore struct {
	files []hostileFile
	*httptest.Server
}

func newHostileStore(t *testing.T, files []hostileFile) *hostileStore {
	s := &hostileStore{files: files}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *hostileStore) serve(w http.ResponseWriter, r *http.Request) {
	var i int
	fmt.Sscanf(r.URL.Path, "/%d/", &i)
	body := s.files[i].body
	switch i % 3 {
	case 0:
		w.Header().Set("ETag", fmt.Sprintf(`"%x"`, md5.Sum(body)))
	case 1:
		w.Header().Set("x-oss-hash-crc64ecma", fmt.Sprint(crc64.Checksum(body, crc64.MakeTable(crc64.ECMA))))
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// ref names the i-th file.
func (s *hostileStore) ref(i int) string {
	return fmt.Sprintf("%s/%d/%s", s.URL, i, url.PathEscape(s.files[i].name))
}

// An end is what the program says of one reference.
type end struct {
	State, Reference, Path, Message string
	Cause                           worker.Cause
	Receipt                         *archive.Receipt
}

func (e end) reference() string {
	if e.Receipt != nil {
		return e.Receipt.Reference
	}
	return e.Reference
}

// Of thousands of files, damaged, cut, joined, renamed and made up, one command
// lets those land that any decoder reads in the same way, and refuses the others
// one by one for what they are.
func TestHostileFilesAreRefusedOrLandAsOthersReadThem(t *testing.T) {
	t.Parallel()
	startsManyProcesses(t)
	s, dir := newHostileStore(t, hostileFiles(t, *hostileCount)), t.TempDir()
	ends := fetchHostile(t, s, dir)
	tally := map[string]int{}
	for i, f := range s.files {
		e, said := ends[s.ref(i)]
		if !said {
			t.Errorf("nothing was said of %s", s.ref(i))
		}
		tally[checkHostile(t, f, e, i%3 == 2)]++
	}
	t.Log(len(s.files), tally)
	checkOnlyLanded(t, dir, tally)
	command(t, "verify", "--archive", dir, "-q").runs(t, worker.ExitLanded)
}

// fetchHostile fetches all of the store by one command.
func fetchHostile(t *testing.T, s *hostileStore, dir string) map[string]end {
	var refs strings.Builder
	for i := range s.files {
		fmt.Fprintln(&refs, s.ref(i))
	}
	p := command(t, "fetch", "-f", "-", "--json", "--attempts", "1", "--archive", dir, "--allow-host", "127.0.0.1")
	p.Stdin = strings.NewReader(refs.String())
	p.start(t)
	most := peakMemory(p.Process.Pid)
	p.exits(t, worker.ExitSomeFailed)
	if t.Logf("%d MiB of memory at most", most>>20); most > mostHostileMemory {
		t.Errorf("it took %d bytes of memory", most)
	}
	for _, word := range []string{"panic", "goroutine ", "DATA RACE"} {
		if strings.Contains(p.stderr.String(), word) {
			t.Errorf("it said %q:\n%.4000s", word, &p.stderr)
		}
	}
	ends := map[string]end{}
	for in := bufio.NewReader(&p.stdout); ; {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return ends
		}
		var e end
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		ends[e.reference()] = e
	}
}

// refusals are the causes for which a file may be refused that came as the
// store holds it.
var refusals = []worker.Cause{"corrupt", "unsafe-name", "bomb-refused", "encrypted"}

// checkHostile holds the end of one file to what others read of it.
func checkHostile(t *testing.T, f hostileFile, e end, sizeAlone bool) string {
	t.Helper()
	if f.refused && (e.Cause == "" || f.cause != "" && e.Cause != f.cause) {
		t.Errorf("%s: %s %s: %s, want %s", f.name, e.State, e.Cause, e.Message, f.cause)
	}
	if e.State != "landed" {
		if f.honest || !slices.Contains(refusals, e.Cause) {
			t.Errorf("%s: %s: %s", e.Reference, e.Cause, e.Message)
		}
		return string(e.Cause)
	}
	read, err := readAsOthers(f.body, e.Receipt.Objects[0].Codec)
	if got := contentsBelow(t, filepath.Join(e.Path, "data")); err != nil || !slices.Equal(got, read) {
		t.Errorf("%s landed as %.200q, others read %.200q, %v", e.reference(), got, read, err)
	}
	doubted := len(e.Receipt.Doubts) > 0
	if e.Receipt.Objects[0].Proof == "" && !doubted {
		t.Errorf("%s landed unproven and without a doubt", e.reference())
	}
	return map[bool]string{true: "landed with doubts", false: "landed"}[doubted]
}

// contentsBelow are what the files below a directory hold, in order.
func contentsBelow(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all = append(all, string(b))
		return err
	})
	if err != nil {
		t.Error(err)
	}
	slices.Sort(all)
	return all
}

// checkOnlyLanded fails if the archive holds more than what landed: other bags,
// or content of what was refused.
func checkOnlyLanded(t *testing.T, dir string, tally map[string]int) {
	t.Helper()
	if n, want := bags(t, dir), tally["landed"]+tally["landed with doubts"]; n != want {
		t.Errorf("%d bags in the archive, want %d", n, want)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".ingest/*/bag/data/*"))
	if err != nil || len(left) > 0 {
		t.Errorf("%d files of what was refused are left: %.5q, %v", len(left), left, err)
	}
}

// readAsOthers are what the files hold that other decoders find, in order. The
// codec is what we took it for.
func readAsOthers(b []byte, codec string) ([]string, error) {
	outer, inner, _ := strings.Cut(codec, "+")
	switch outer {
	case "zip":
		return unzipAsOthers(b)
	case "tar":
		return untarAsOthers(bytes.NewReader(b))
	case "":
		return []string{string(b)}, nil
	}
	content, err := decodeAsOthers(b, outer)
	if err != nil || inner == "" {
		return []string{string(content)}, err
	}
	return untarAsOthers(bytes.NewReader(content))
}

func decodeAsOthers(b []byte, codec string) ([]byte, error) {
	switch codec {
	case "zstd":
		d, err := zstd.NewReader(bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		defer d.Close()
		return io.ReadAll(d)
	case "gzip":
		d, err := stdgzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(d)
	}
	return io.ReadAll(lz4.NewReader(bytes.NewReader(b)))
}

func unzipAsOthers(b []byte) (all []string, err error) {
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, err
	}
	z.RegisterDecompressor(zstd.ZipMethodWinZip, zstd.ZipDecompressor())
	for _, f := range z.File {
		if strings.HasSuffix(f.Name, "/") {
			continue
		}
		in, err := f.Open()
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(in)
		if err != nil {
			return nil, err
		}
		all = append(all, string(content))
	}
	slices.Sort(all)
	return all, nil
}

func untarAsOthers(r io.Reader) (all []string, err error) {
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			slices.Sort(all)
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(t)
		if err != nil {
			return nil, err
		}
		if h.Typeflag == tar.TypeReg {
			all = append(all, string(content))
		}
	}
}
