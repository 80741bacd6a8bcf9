package fetch_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zip"
	"github.com/klauspost/compress/zstd"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/verify"
)

// A file is an entry of a container.
type file struct {
	name string
	body []byte
}

// zipOf makes a zip with one of the methods 0 (stored), 8 (deflate) and 93
// (zstd).
func zipOf(t testing.TB, method uint16, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	z.RegisterCompressor(93, zstd.ZipCompressor())
	for _, f := range files {
		w, err := z.CreateHeader(&zip.FileHeader{Name: f.name, Method: method})
		if err != nil {
			t.Fatal(err)
		}
		w.Write(f.body)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func tarOf(t testing.TB, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Size: int64(len(f.body)), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		w.Write(f.body)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var twoFiles = []file{{"a.csv", rows[:2000]}, {"d/b.jsonl", []byte("{}\n{}\n{}\n")}}

func TestContainersLandEntryByEntry(t *testing.T) {
	if testing.Short() {
		t.Skip("one export after another")
	}
	for _, tt := range []struct {
		name, codec string
		body        []byte
	}{
		{"e.zip", "zip", zipOf(t, 0, twoFiles...)},
		{"e.zip", "zip", zipOf(t, 8, twoFiles...)},
		{"e.zip", "zip", zipOf(t, 93, twoFiles...)},
		{"no-suffix", "zip", zipOf(t, 8, twoFiles...)},
		{"e.tar", "tar", tarOf(t, twoFiles...)},
		{"e.tar.gz", "gzip+tar", encode(t, "gzip", tarOf(t, twoFiles...))},
		{"e.tar.zst", "zstd+tar", encode(t, "zstd", tarOf(t, twoFiles...))},
		{"e.tar.lz4", "lz4+tar", encode(t, "lz4", tarOf(t, twoFiles...))},
		{"e", "zstd+tar", encode(t, "zstd", tarOf(t, twoFiles...))},
		{"e.tgz", "gzip+tar", encode(t, "gzip", tarOf(t, twoFiles...))},
		{"e.dat", "zip", zipOf(t, 8, twoFiles...)},
	} {
		s := fetchtest.NewMemory(fetchtest.NewFile(tt.name, tt.body))
		f := newMemoryFetcher(t, s)
		receipt := mustFetch(t, f)
		checkFiles(t, f, map[string]string{"a.csv": string(rows[:2000]), "d/b.jsonl": "{}\n{}\n{}\n"})
		want := int64(bytes.Count(rows[:2000], []byte("\n"))) + 1 - quotedNewlines(rows[:2000]) + 3
		if o := receipt.Objects[0]; o.Codec != tt.codec || receipt.Records != want || len(receipt.Doubts) > 0 {
			t.Errorf("%s: codec %q, want %q; %d records, want %d; doubts %q", tt.name, o.Codec, tt.codec, receipt.Records, want, receipt.Doubts)
		}
	}
}

func quotedNewlines(csv []byte) int64 { return int64(bytes.Count(csv, []byte("two\nlines"))) }

func TestWhatIsInAContainerIsNotOpenedFurther(t *testing.T) {
	inner := zipOf(t, 8, twoFiles...)
	gz := encode(t, "gzip", rows)
	for name, tt := range map[string]struct {
		body []byte
		want map[string]string
	}{
		"a zip in gzip":    {encode(t, "gzip", inner), map[string]string{"e.zip": string(inner)}},
		"a gzip in gzip":   {encode(t, "gzip", gz), map[string]string{"e.zip.gz": string(gz)}},
		"a zip in a zip":   {zipOf(t, 0, file{"inner.zip", inner}), map[string]string{"inner.zip": string(inner)}},
		"a gzip in a zip":  {zipOf(t, 0, file{"x.csv.gz", gz}), map[string]string{"x.csv.gz": string(gz)}},
		"a tar in a tar":   {tarOf(t, file{"x.tar", tarOf(t, twoFiles...)}), map[string]string{"x.tar": string(tarOf(t, twoFiles...))}},
		"a gzip in a tar":  {tarOf(t, file{"x.csv.gz", gz}), map[string]string{"x.csv.gz": string(gz)}},
		"an empty zip":     {zipOf(t, 0), map[string]string{}},
		"an empty tar":     {encode(t, "gzip", tarOf(t)), map[string]string{"e.zip": string(tarOf(t))}}, // an empty tar is zeros, and so not seen as one
		"an empty entry":   {zipOf(t, 8, file{"x", nil}), map[string]string{"x": ""}},
		"only a directory": {zipOf(t, 0, file{"d/", nil}), map[string]string{}},
	} {
		f := newMemoryFetcher(t, fetchtest.NewMemory(fetchtest.NewFile("e.zip.gz", tt.body)))
		mustFetch(t, f)
		t.Log(name)
		checkFiles(t, f, tt.want)
	}
}

func TestUnusableContainersAreRefusedAndLeaveNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("one export after another")
	}
	evil := func(names ...string) (files []file) {
		for _, name := range names {
			files = append(files, file{name, []byte("evil\n")})
		}
		return files
	}
	locked := zipOf(t, 8, twoFiles...)
	for at := bytes.Index(locked, []byte("PK\x01\x02")); at >= 0 && at < len(locked); { // set the bit that says encrypted in each header
		locked[at+8] |= 1
		next := bytes.Index(locked[at+4:], []byte("PK\x01\x02"))
		if next < 0 {
			break
		}
		at += 4 + next
	}
	rotten := zipOf(t, 0, twoFiles...)
	rotten[bytes.Index(rotten, rows[:100])+50] ^= 1
	for name, tt := range map[string]struct {
		body []byte
		why  error
	}{
		"up":                       {zipOf(t, 8, evil("../../evil.sql")...), fetch.ErrUnsafeName},
		"up, stored":               {zipOf(t, 0, evil("good", "../evil.sql")...), fetch.ErrUnsafeName},
		"absolute":                 {zipOf(t, 0, evil("/tmp/evil.sql")...), fetch.ErrUnsafeName},
		"backslash":                {zipOf(t, 0, evil(`..\..\evil.sql`)...), fetch.ErrUnsafeName},
		"a drive":                  {zipOf(t, 0, evil("C:evil.sql")...), fetch.ErrUnsafeName},
		"twice":                    {zipOf(t, 0, evil("evil.sql", "evil.sql")...), fetch.ErrUnsafeName},
		"a file and a directory":   {zipOf(t, 0, evil("evil.sql", "evil.sql/x")...), fetch.ErrUnsafeName},
		"as long as the disk goes": {zipOf(t, 0, evil(strings.Repeat("evil/", 700)+strings.Repeat("%", 180))...), fetch.ErrUnsafeName},
		"in a tar":                 {tarOf(t, evil("good", "../evil.sql")...), fetch.ErrUnsafeName},
		"in a tar.gz":              {encode(t, "gzip", tarOf(t, evil("good", "../../../evil.sql")...)), fetch.ErrUnsafeName},
		"encrypted":                {locked, fetch.ErrEncrypted},
		"a wrong CRC-32":           {rotten, fetch.ErrCorrupt},
		"cut short":                {zipOf(t, 8, twoFiles...)[:500], fetch.ErrCorrupt},
		"behind other bytes":       {append([]byte("PK\x03\x04"), zipOf(t, 8, twoFiles...)...), fetch.ErrCorrupt},
		"a tar cut short":          {tarOf(t, twoFiles...)[:1024], fetch.ErrCorrupt},
		"a tar cut short, packed":  {encode(t, "zstd", tarOf(t, twoFiles...)[:1024]), fetch.ErrCorrupt},
	} {
		for _, keep := range []fetch.Keep{fetch.KeepContent, fetch.KeepWire, fetch.KeepBoth} {
			s := fetchtest.NewMemory(fetchtest.NewFile("e.zip", tt.body), fetchtest.NewFile("good.csv", rows))
			f := newMemoryFetcher(t, s)
			f.Keep = keep
			if keep == fetch.KeepWire {
				continue // see TestKeepWireLandsAnyContainerThatIsProven
			}
			_, err := fetchOnce(t, f)
			if !errors.Is(err, tt.why) || isMismatch(err) {
				t.Errorf("%s: %v, want %v", name, err, tt.why)
			}
			if kinds := kindsOf(err); len(kinds) != 1 {
				t.Errorf("%s: %v is %v", name, err, kinds)
			}
			checkAbsent(t, f, exportKey)
			checkNothingOutsideTheBag(t, f)
		}
	}
}

// Nothing in it is written under a name of its own. What it holds is not counted,
// which is a doubt.
func TestKeepWireLandsAnyContainerThatIsProven(t *testing.T) {
	for _, tt := range []struct {
		name string
		body []byte
		says string
	}{
		{"up.zip", zipOf(t, 8, file{"good.csv", rows}, file{"../../evil.sql", rows}), "the element .."},
		{"twice.zip", zipOf(t, 8, file{"a.csv", rows}, file{"a.csv", rows}), "is there twice"},
		{"cut.zip", zipOf(t, 8, twoFiles...)[:500], "corrupt"},
		{"up.tar", tarOf(t, file{"good.csv", rows}, file{"../evil.sql", rows}), "the element .."},
		{"up.tar.gz", encode(t, "gzip", tarOf(t, file{"good.csv", rows}, file{"/evil.sql", rows})), "absolute"},
	} {
		s := fetchtest.NewMemory(fetchtest.NewFile(tt.name, tt.body), fetchtest.NewFile("plain.csv", rows))
		f := newMemoryFetcher(t, s)
		f.Keep = fetch.KeepWire
		receipt := mustFetch(t, f)
		checkFiles(t, f, map[string]string{tt.name: string(tt.body), "plain.csv": string(rows)})
		checkSums(t, f)
		if len(receipt.Doubts) != 1 || !strings.HasPrefix(receipt.Doubts[0], "unread: "+tt.name) || !strings.Contains(receipt.Doubts[0], tt.says) || receipt.Records != verify.Unknown {
			t.Errorf("%s: doubts %q, %d records", tt.name, receipt.Doubts, receipt.Records)
		}
		s.Files[0].Promise = onlySize // which proves nothing
		f = newMemoryFetcher(t, s)
		f.Keep = fetch.KeepWire
		if _, err := fetchOnce(t, f); len(kindsOf(err)) != 1 {
			t.Errorf("%s with nothing but its size promised: %v", tt.name, err)
		}
	}
	broken := encode(t, "gzip", tarOf(t, file{"good.csv", rows}, file{"/evil.sql", rows}))
	broken[len(broken)-5] ^= 1
	f := newMemoryFetcher(t, fetchtest.NewMemory(fetchtest.NewFile("broken.tar.gz", broken), fetchtest.NewFile("plain.csv", rows)))
	f.Keep = fetch.KeepWire
	if _, err := fetchOnce(t, f); !errors.Is(err, fetch.ErrCorrupt) {
		t.Errorf("%v, want %v: its codec is at fault", err, fetch.ErrCorrupt)
	}
}

func kindsOf(err error) (kinds []error) {
	for _, kind := range []error{fetch.ErrUnsafeName, fetch.ErrBomb, fetch.ErrEncrypted, fetch.ErrCorrupt} {
		if errors.Is(err, kind) {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// checkNothingOutsideTheBag checks that no entry was written outside the bag.
func checkNothingOutsideTheBag(t *testing.T, f *fetch.Fetcher) {
	t.Helper()
	err := filepath.WalkDir(filepath.Dir(f.Archive.Path("")), func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.Contains(path, "evil") && !strings.Contains(path, "/bag/data/") {
			t.Errorf("there is %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestLimitsOfTheFetcherBoundAContainer(t *testing.T) {
	for _, body := range [][]byte{zipOf(t, 8, twoFiles...), tarOf(t, twoFiles...)} {
		f := newMemoryFetcher(t, fetchtest.NewMemory(fetchtest.NewFile("e", body)))
		f.Limits.EntryBytes = 1000
		if _, err := fetchOnce(t, f); !errors.Is(err, fetch.ErrBomb) {
			t.Errorf("%v, want %v", err, fetch.ErrBomb)
		}
		checkAbsent(t, f, exportKey)
	}
}

func TestAContainerDamagedInTransferIsAMismatch(t *testing.T) {
	for _, body := range [][]byte{zipOf(t, 0, twoFiles...), zipOf(t, 8, twoFiles...), tarOf(t, twoFiles...), encode(t, "zstd", tarOf(t, twoFiles...))} {
		for _, at := range []int{2, len(body) / 2, len(body) - 2} {
			s := fetchtest.NewMemory(fetchtest.NewFile("e", body))
			s.Files[0].Answer = flipped(int64(at))
			f := newMemoryFetcher(t, s)
			if _, err := fetchOnce(t, f); !isMismatch(err) || len(kindsOf(err)) > 0 {
				t.Errorf("%v, want a mismatch", err)
			}
			checkAbsent(t, f, exportKey)
			s.Files[0].Answer = nil
			mustFetch(t, f)
			checkFiles(t, f, map[string]string{"a.csv": string(rows[:2000]), "d/b.jsonl": "{}\n{}\n{}\n"})
		}
	}
}

func TestALengthProvesContentWithItsOwnChecksums(t *testing.T) {
	for name, tt := range map[string]struct {
		body   []byte
		doubts int
	}{
		"zip":            {zipOf(t, 0, twoFiles...), 0},
		"tar":            {tarOf(t, twoFiles...), 1},
		"tar.gz":         {encode(t, "gzip", tarOf(t, twoFiles...)), 0},
		"tar.zst":        {encode(t, "zstd", tarOf(t, twoFiles...)), 0},
		"tar.zst unsure": {encode(t, "zstd-", tarOf(t, twoFiles...)), 1},
		"plain":          {rows, 1},
	} {
		f := newMemoryFetcher(t, fetchtest.NewMemory(&fetchtest.File{Name: "e", Body: tt.body, Promise: onlySize}))
		receipt := mustFetch(t, f)
		if len(receipt.Doubts) != tt.doubts || tt.doubts > 0 && !strings.HasPrefix(receipt.Doubts[0], "unproven") {
			t.Errorf("%s: doubts %q", name, receipt.Doubts)
		}
	}
}

// Whether it was damaged at the source or in transfer is not known.
func TestADamagedZipWithOnlyASizePromisedIsCorrupt(t *testing.T) {
	body := zipOf(t, 0, twoFiles...)
	s := fetchtest.NewMemory(&fetchtest.File{Name: "e", Body: body, Promise: onlySize, Answer: flipped(int64(len(body) / 3))})
	f := newMemoryFetcher(t, s)
	if _, err := fetchOnce(t, f); !errors.Is(err, fetch.ErrCorrupt) {
		t.Errorf("%v, want %v", err, fetch.ErrCorrupt)
	}
	checkAbsent(t, f, exportKey)
}

func TestCancellationWhileUnpackingIsNotCorruption(t *testing.T) {
	var entries []file
	for i := range 50 {
		entries = append(entries, file{fmt.Sprintf("%d.csv", i), rows})
	}
	for _, body := range [][]byte{zipOf(t, 8, entries...), tarOf(t, entries...), encode(t, "gzip", tarOf(t, entries...))} {
		f := newMemoryFetcher(t, fetchtest.NewMemory(fetchtest.NewFile("e", body)))
		f.PartSize = 0
		stopped := 0
		for wait := 100 * time.Microsecond; ; wait += wait / 2 {
			ctx, cancel := context.WithTimeoutCause(context.Background(), wait, errStopped)
			_, err := f.Fetch(ctx, parseRef(t, exportRef))
			cancel()
			if err == nil {
				break
			}
			if stopped++; !errors.Is(err, errStopped) || len(kindsOf(err)) > 0 {
				t.Fatalf("%v, want the cause", err)
			}
		}
		if got := files(t, f); len(got) != len(entries) || stopped == 0 {
			t.Errorf("%d files after %d attempts", len(got), stopped)
		}
	}
}

// The failure is no fault of the object, and no request that is in flight is
// waited for.
func TestAFailureOfOurDiskEndsTheAttemptAtOnce(t *testing.T) {
	big := csv(20000)
	for name, body := range map[string][]byte{
		"plain": big, "tar": tarOf(t, file{"x", big}), "gzip": encode(t, "gzip", big), "zstd": encode(t, "zstd", big),
		"tar.gz": encode(t, "gzip", tarOf(t, file{"x", big})), "zip": zipOf(t, 8, file{"x", big}),
		"small": rows, "small gzip": encode(t, "gzip", rows),
	} {
		if testing.Short() && !slices.Contains([]string{"plain", "tar", "zip", "small"}, name) {
			continue
		}
		s := fetchtest.NewMemory(fetchtest.NewFile("e", body), fetchtest.NewFile("never", rows))
		f := newMemoryFetcher(t, s)
		f.IdleTimeout, f.PartSize, f.Parallel = time.Hour, 50_000, 100 // with slots for all requests, though some hang
		s.Files[0].BeforeAnswer = func(ctx context.Context, off int64) error {
			if off == 0 {
				lose(t, f, "bag/data")
			}
			if off < 300_000 || name == "zip" { // a zip is unpacked when all of it is received
				return nil
			}
			return blockUntilDone(ctx, off)
		}
		s.Files[1].BeforeAnswer = blockUntilDone
		_, err := fetchOnce(t, f)
		if _, ours := errors.AsType[*fs.PathError](err); !ours || len(kindsOf(err)) > 0 {
			t.Errorf("%s: %v, want a failure of the disk", name, err)
		}
		checkAbsent(t, f, exportKey)
		s.Files[0].BeforeAnswer, s.Files[1].BeforeAnswer = nil, nil
		mustFetch(t, f)
	}
}

// lose removes a file or directory of the attempt that is under way.
func lose(t *testing.T, f *fetch.Fetcher, name string) {
	t.Helper()
	paths, err := filepath.Glob(f.Archive.Path(".ingest/*/" + name))
	if err != nil || len(paths) != 1 {
		t.Fatal(paths, err)
	}
	if err := os.RemoveAll(paths[0]); err != nil {
		t.Fatal(err)
	}
}
